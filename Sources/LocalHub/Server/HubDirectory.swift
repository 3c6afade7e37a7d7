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
            let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
            var template = Array("\(base)/tailrace-hub-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else {
                throw LocalHubError("cannot make a directory in \(base): \(String(cString: strerror(errno)))")
            }
            let made = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            root = made
            return "\(made)/\(name)"
        }
    }

    func remove() {
        root.withLock { root in
            if let path = root { Self.removeTree(path) }
            root = nil
        }
    }

    /// Makes the directory unless it is there; its parent must be.
    static func make(_ path: String) throws {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw LocalHubError("cannot make the directory \(path): \(String(cString: strerror(errno)))")
        }
    }

    private static func removeTree(_ path: String) {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name == "." || name == ".." { continue }
                if entry.pointee.d_type == UInt8(DT_DIR) {
                    removeTree("\(path)/\(name)")
                } else {
                    unlink("\(path)/\(name)")
                }
            }
            closedir(directory)
        }
        rmdir(path)
    }
}
