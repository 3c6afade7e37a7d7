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
        port = try LocalPort.free()
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
        while !LocalPort.isServed(port) { try await Task.sleep(for: .milliseconds(10)) }
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
}
