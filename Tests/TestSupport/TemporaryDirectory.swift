import Glibc

/// A directory of its own for one test; removed with everything in it when the last reference goes.
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init(_ name: String = "tailrace") {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fatalError("mkdtemp in \(base): \(String(cString: strerror(errno)))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes the file `name`, or makes it anew; returns its path.
    @discardableResult
    public func write(_ text: String, to name: String) throws -> String {
        let path = self(name)
        guard let file = fopen(path, "w") else {
            throw ChildProcess.Failure("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        let isWritten = fwrite(text, 1, text.utf8.count, file) == text.utf8.count
        guard fclose(file) == 0, isWritten else { throw ChildProcess.Failure("cannot write \(path)") }
        return path
    }

    deinit { Self.removeTree(path) }

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
