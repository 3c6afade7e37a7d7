import Synchronization

/// The hosts of a service URL, in turn: one is asked until it fails, then the next.
final class ServiceHosts: Sendable {
    let url: ServiceURL
    private let current: Mutex<Int>

    /// - Parameter first: where to begin; nil: anywhere, so that a thousand clients do not all ask the same one.
    init(_ url: ServiceURL, first: Int? = nil, using dice: ClientEnvironment.Dice) {
        var dice = dice
        self.url = url
        current = Mutex(first ?? Int.random(in: 0..<url.hosts.count, using: &dice))
    }

    var host: ServiceURL.Host { current.withLock { url.hosts[$0] } }
    var count: Int { url.hosts.count }

    /// The next one is asked, unless somebody has moved on from `host` already.
    func failed(_ host: ServiceURL.Host) {
        current.withLock { if url.hosts[$0] == host { $0 = ($0 + 1) % url.hosts.count } }
    }
}
