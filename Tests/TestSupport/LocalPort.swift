import Glibc
import Synchronization

/// TCP ports of this machine for programs that cannot choose one by themselves.
public enum LocalPort {
    private static let given = Mutex<Set<Int>>([])

    /// One that was free a moment ago, and that this process has not been given before. Not from the range that the kernel gives to outgoing connections (32768 up): one
    /// of these could take it while the program that had it is started again, even a connection to itself.
    public static func free() throws -> Int {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let port = Int.random(in: 20_000..<32_768, using: &generator)
            if call(port, { bind($0, $1, $2) }), given.withLock({ $0.insert(port).inserted }) { return port }
        }
        throw ChildProcess.Failure("no free port: \(String(cString: strerror(errno)))")
    }

    /// Whether somebody accepts connections.
    public static func isServed(_ port: Int) -> Bool { call(port) { connect($0, $1, $2) } }

    private static func call(
        _ port: Int, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
