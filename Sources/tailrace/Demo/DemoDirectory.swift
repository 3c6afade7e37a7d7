import Glibc

/// Where the demo keeps its files: a new directory that goes with it, or one that the user wants to keep.
struct DemoDirectory {
    let path: String
    private let isKept: Bool

    /// - Parameter keep: made if missing; must be empty, so that nothing of the user's is mixed in.
    init(keep: String?) throws {
        if let keep {
            guard mkdir(keep, 0o700) == 0 || errno == EEXIST else {
                throw OwnProcess.Failure(description: "cannot make \(keep): \(String(cString: strerror(errno)))")
            }
            guard Self.names(in: keep)?.isEmpty == true else {
                throw OwnProcess.Failure(
                    description: "\(keep) is not an empty directory; name one that is, or a new one")
            }
            guard let resolved = realpath(keep, nil) else {
                throw OwnProcess.Failure(description: "\(keep): \(String(cString: strerror(errno)))")
            }
            path = String(cString: resolved)
            free(resolved)
            isKept = true
            return
        }
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/tailrace-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw OwnProcess.Failure(
                description: "cannot make a directory in \(base): \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        isKept = false
    }

    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    func removeUnlessKept() { if !isKept { Self.removeTree(path) } }

    /// Nil when it cannot be listed.
    private static func names(in path: String) -> [(name: String, isDirectory: Bool)]? {
        guard let directory = opendir(path) else { return nil }
        defer { closedir(directory) }
        var result: [(String, Bool)] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { result.append((name, entry.pointee.d_type == UInt8(DT_DIR))) }
        }
        return result
    }

    private static func removeTree(_ path: String) {
        for (name, isDirectory) in names(in: path) ?? [] {
            if isDirectory { removeTree("\(path)/\(name)") } else { unlink("\(path)/\(name)") }
        }
        rmdir(path)
    }
}
