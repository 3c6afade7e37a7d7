import Glibc
import Synchronization

/// A directory that goes with the hub, made when something is to be put there.
final class HubDirectory: Sendable {
    private let root = Mutex<String?>(nil)

    init() throws {}

    deinit { remove() }

    /// The path of `name` inside.
    func path(_ name: String) throws -> String {
        try root.withLock { root in
            if let root { return "\(root)/\(name)" }
            let made = try ScratchDirectory.make("tailrace-hub")
            root = made
            return "\(made)/\(name)"
        }
    }

    func remove() {
        root.withLock { root in
            if let path = root { ScratchDirectory.remove(path) }
            root = nil
        }
    }

    /// Makes the directory unless it is there; its parent must be.
    static func make(_ path: String) throws {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw LocalHubError("cannot make the directory \(path): \(String(cString: strerror(errno)))")
        }
    }
}
