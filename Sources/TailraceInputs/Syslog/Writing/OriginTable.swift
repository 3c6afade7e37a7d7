internal import TailraceSpool

/// Where messages come from, numbered: each has a context, made once, under which its messages are written.
struct OriginTable {
    /// Origins known at a time; beyond, all are forgotten and learnt again.
    static let limit = 16_384

    private struct Peer: Hashable {
        var address: PeerAddress
        var listener: UInt32
    }

    private struct Entry {
        let context: [UInt8]
        let isTrusted: Bool
    }

    /// A host that a relay named.
    private struct Claim {
        let relay: Int
        let name: [UInt8]
        let index: Int
    }

    private let input: String
    private let agentHost: String
    private let trust: [AddressRange]
    /// Places of the listeners.
    private let places: [String]
    private var peers: [Peer: Int] = [:]
    /// By the hash of relay and name, so that a message's bytes are looked up as they lie there.
    private var claims: [Int: [Claim]] = [:]
    private var entries: [Entry] = []
    private var last: (peer: Peer, index: Int)?

    init(input: String, agentHost: String, trust: [AddressRange], places: [String]) {
        self.input = input
        self.agentHost = agentHost
        self.trust = trust
        self.places = places
    }

    var count: Int { entries.count }
    func context(_ index: Int) -> [UInt8] { entries[index].context }
    func isTrusted(_ index: Int) -> Bool { entries[index].isTrusted }

    /// Forgets everything when there is too much: not while numbers are in use.
    mutating func prune() {
        guard entries.count > Self.limit else { return }
        peers.removeAll(keepingCapacity: true)
        claims.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
        last = nil
    }

    /// The number of a peer. Most messages come from the same one as the message before.
    mutating func origin(_ address: PeerAddress, listener: UInt32) -> Int {
        let peer = Peer(address: address, listener: listener)
        if let last, last.peer == peer { return last.index }
        let index = peers[peer] ?? learn(peer)
        last = (peer, index)
        return index
    }

    private mutating func learn(_ peer: Peer) -> Int {
        let place = places[Int(peer.listener)]
        let context: RecordContext
        if peer.address.isNone {
            // Of this machine, by a path.
            context = RecordContext(host: agentHost, source: place, input: input)
        } else {
            let text = peer.address.description
            context = RecordContext(host: text, source: text, input: input, fields: [.init("peer", text)])
        }
        entries.append(
            Entry(
                context: context.encoded,
                isTrusted: !peer.address.isNone && trust.contains { $0.contains(peer.address) }))
        peers[peer] = entries.count - 1
        return entries.count - 1
    }

    /// The number of a host that a trusted relay named.
    mutating func origin(_ address: PeerAddress, relay: Int, host: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(relay)
        hasher.combine(bytes: host)
        let hash = hasher.finalize()
        if let known = claims[hash]?.first(where: { $0.relay == relay && $0.name.elementsEqual(host) }) {
            return known.index
        }
        let text = address.description
        let context = RecordContext(
            host: String(decoding: host, as: UTF8.self), source: text, input: input, fields: [.init("peer", text)])
        entries.append(Entry(context: context.encoded, isTrusted: true))
        claims[hash, default: []].append(Claim(relay: relay, name: Array(host), index: entries.count - 1))
        return entries.count - 1
    }
}
