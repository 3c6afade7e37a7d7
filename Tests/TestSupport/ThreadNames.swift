import Glibc

/// What a process's threads are called.
public enum ThreadNames {
    public static func of(_ process: pid_t) -> [String] {
        guard let directory = opendir("/proc/\(process)/task") else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let task = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let first = task.utf8.first, first != UInt8(ascii: ".") else { continue }
            let name = ChildProcess.text("/proc/\(process)/task/\(task)/comm")
            if !name.isEmpty { names.append(String(name.dropLast())) }
        }
        return names
    }

    /// Whether libdispatch has threads of the kind that it looks after once a second from then on. Its others, such as the one
    /// on which NIO asks for an address, come and go.
    public static func tellOfDispatch(_ process: pid_t) -> Bool { of(process).contains { $0.hasSuffix("-qos") } }
}
