import Synchronization

/// The names of all inputs that this process has had to do with, each with a number that stays: what was counted of an input
/// that is gone is not forgotten, and goes on when it comes back.
package final class InputRoster: Sendable {
    /// Names at most; of what is beyond, nothing is counted.
    package static let limit = 4096

    private let names: Mutex<[String: Int]>

    package init(_ names: [String] = []) {
        self.names = Mutex([:])
        for name in names { _ = index(of: name) }
    }

    /// Its number, from 0 on without gaps; nil beyond the limit.
    package func index(of name: String) -> Int? {
        names.withLock { names in
            if let known = names[name] { return known }
            guard names.count < Self.limit else { return nil }
            names[name] = names.count
            return names.count - 1
        }
    }
}
