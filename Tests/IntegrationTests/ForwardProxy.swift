import Glibc
import TestSupport

/// A `tinyproxy` of its own for one test.
final class ForwardProxy {
    let port: Int
    private let directory = TemporaryDirectory("proxy")
    private let process: ChildProcess

    /// - Parameters:
    ///   - allowing: the one port that clients may be connected to.
    ///   - user: nil: anybody may.
    init(allowing allowed: Int, user: String? = nil, password: String? = nil) async throws {
        let programs: [String] = ["/usr/bin/tinyproxy", "/usr/sbin/tinyproxy"]
        guard let program = programs.first(where: { (path: String) in access(path, X_OK) == 0 }) else {
            throw ChildProcess.Failure("no tinyproxy: packaging/dependencies test installs it")
        }
        port = try Self.freePort()
        var configuration = """
            Port \(port)
            Listen 127.0.0.1
            Timeout 60
            MaxClients 20
            ConnectPort \(allowed)
            LogFile "\(directory("log"))"
            LogLevel Info

            """
        if let user, let password { configuration += "BasicAuth \(user) \(password)\n" }
        try AgentProcess.write(configuration, to: directory("configuration"))
        process = try ChildProcess(program, ["-d", "-c", directory("configuration")])
        while !Self.isServed(port) { try await Task.sleep(for: .milliseconds(10)) }
    }

    deinit {
        process.signal(SIGTERM)
        process.wait()
    }

    /// What it logged; it does so by itself, a moment later.
    func log(until text: String) async throws -> String {
        while true {
            let log = ChildProcess.text(directory("log"))
            if log.contains(text) { return log }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// A port that was free a moment ago.
    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard bound else { throw ChildProcess.Failure("no free port: \(String(cString: strerror(errno)))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func isServed(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
