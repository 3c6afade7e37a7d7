import Glibc

/// A new directory below `TMPDIR` (default `/tmp`), for what goes with the process that made it.
package enum ScratchDirectory {
    /// Makes `NAME-XXXXXX` for its owner alone and returns its path.
    package static func make(_ name: String) throws -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw LocalHubError("cannot make a directory in \(base): \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Removes a directory and all in it; what cannot be removed stays.
    package static func remove(_ path: String) {
        for (name, isDirectory) in entries(of: path) ?? [] {
            if isDirectory { remove("\(path)/\(name)") } else { unlink("\(path)/\(name)") }
        }
        rmdir(path)
    }

    /// Nil when it cannot be listed.
    package static func entries(of path: String) -> [(name: String, isDirectory: Bool)]? {
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
}
