import Glibc
internal import Transports

/// The agent that listens at a control socket.
struct RunningAgent: Equatable {
    let process: pid_t
    let user: uid_t

    /// Nil when there is none, or when this user may not ask. Nothing is asked.
    init?(_ path: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        UnixSocket.setTimeouts(descriptor, seconds: ControlClient.seconds)
        guard UnixSocket.withAddress(path, { connect(descriptor, $0, $1) }) == 0,
            let peer = UnixSocket.peer(of: descriptor)
        else { return nil }
        (process, user) = peer
    }

    /// Whether it may read every file, whatever its rights say: by CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH
    /// (capabilities(7)), the numbers 1 and 2.
    var readsEverything: Bool {
        let path = "/proc/\(process)/status"
        guard let bytes = try? SmallFile.bytes(path, limit: 64 << 10, what: path) else { return false }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        let digits = line?.dropFirst(7).drop { $0 == "\t" || $0 == " " } ?? ""
        return UInt64(digits, radix: 16).map { $0 & 0b110 != 0 } ?? false
    }

    /// The inodes of its sockets; nil when this user may not see them.
    var sockets: Set<UInt64>? {
        let directory = "/proc/\(process)/fd"
        guard let stream = opendir(directory) else { return nil }
        defer { closedir(stream) }
        var found: Set<UInt64> = []
        var text = [CChar](repeating: 0, count: 64)
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            let count = readlink("\(directory)/\(name)", &text, text.count)
            guard count > 9 else { continue }
            let link = String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard link.hasPrefix("socket:["), let inode = UInt64(link.dropFirst(8).dropLast()) else { continue }
            found.insert(inode)
        }
        return found
    }
}
