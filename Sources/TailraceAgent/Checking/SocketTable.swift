import Glibc
internal import Transports

/// Who has the sockets of a place, as far as the kernel tells everybody (proc_net(5)).
struct SocketTable: Equatable {
    struct Socket: Equatable {
        var inode: UInt64
        var user: uid_t
    }

    private(set) var sockets: [Socket] = []

    /// Bytes of a table; those of a machine with 100,000 connections have some 15 MB.
    private static let maximumSize = 64 << 20

    static func udp(port: Int) -> SocketTable { internet(["udp", "udp6"], port, listening: false) }
    static func tcp(port: Int) -> SocketTable { internet(["tcp", "tcp6"], port, listening: true) }

    /// The path's owner stands for the socket's.
    static func unix(path: String) -> SocketTable {
        var status = stat()
        guard stat(path, &status) == 0 else { return SocketTable() }
        var table = SocketTable()
        for line in lines("unix") {
            let fields = line.split(separator: " ", maxSplits: 7)
            guard fields.count == 8, fields[7] == path, let inode = UInt64(fields[6]) else { continue }
            table.sockets.append(Socket(inode: inode, user: status.st_uid))
        }
        return table
    }

    private static func internet(_ names: [String], _ port: Int, listening: Bool) -> SocketTable {
        var table = SocketTable()
        for line in names.flatMap({ lines($0) }) {
            guard let socket = parse(line, port: port, listening: listening) else { continue }
            table.sockets.append(socket)
        }
        return table
    }

    private static func lines(_ name: String) -> [Substring] {
        let path = "/proc/net/\(name)"
        guard let bytes = try? SmallFile.bytes(path, limit: maximumSize, what: path) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropFirst().map { $0 }
    }

    /// A line of `/proc/net/tcp` and its like: number, local address, remote address, state, queues, timer, retransmits, user,
    /// timeout, inode.
    static func parse(_ line: Substring, port: Int, listening: Bool) -> Socket? {
        let fields = line.split(separator: " ")
        guard fields.count > 9, let colon = fields[1].lastIndex(of: ":"),
            Int(fields[1][fields[1].index(after: colon)...], radix: 16) == port,
            // TCP_LISTEN of the kernel.
            !listening || fields[3] == "0A", let user = uid_t(fields[7]), let inode = UInt64(fields[9])
        else { return nil }
        return Socket(inode: inode, user: user)
    }

    /// By the descriptors of its process, where they can be seen, else by its user.
    func isHeld(by agent: RunningAgent) -> Bool {
        guard let own = agent.sockets else { return sockets.contains { $0.user == agent.user } }
        return sockets.contains { own.contains($0.inode) }
    }
}
