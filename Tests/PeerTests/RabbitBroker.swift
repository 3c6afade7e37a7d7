import Glibc
import TestSupport
import Testing

/// A RabbitMQ of this test run with its AMQP 1.0 plug-in: own node, own directories, own port mapper, free ports.
final class RabbitBroker: Sendable {
    /// The broker of the suite that runs.
    @TaskLocal static var current: RabbitBroker?

    static let user = "guest"
    static let password = "guest"

    let port: Int
    let tlsPort: Int
    let authority: String
    private let mapper: ChildProcess
    private let node: ChildProcess
    private let directory = TemporaryDirectory("rabbit")

    init() async throws {
        let certificates = try Certificates(in: directory)
        authority = certificates.authority
        let (port, tlsPort, mapperPort, distributionPort) = (
            try Self.freePort(), try Self.freePort(), try Self.freePort(), try Self.freePort()
        )
        self.port = port
        self.tlsPort = tlsPort
        try Self.write("[rabbitmq_amqp1_0].\n", to: directory("plugins"))
        try Self.write(
            """
            listeners.tcp.1 = 127.0.0.1:\(port)
            listeners.ssl.1 = 127.0.0.1:\(tlsPort)
            ssl_options.cacertfile = \(authority)
            ssl_options.certfile = \(certificates.files.certificateChain)
            ssl_options.keyfile = \(certificates.files.privateKey)

            """, to: directory("rabbitmq.conf"))
        // Started here, so that the node starts none that would outlive it.
        mapper = try ChildProcess("/usr/bin/epmd", ["-port", "\(mapperPort)", "-address", "127.0.0.1"])
        node = try ChildProcess(
            "/usr/lib/rabbitmq/bin/rabbitmq-server", [],
            environment: [
                "HOME": directory.path,
                "RABBITMQ_NODENAME": "tailrace-\(getpid())@localhost",
                "RABBITMQ_MNESIA_BASE": directory("mnesia"),
                "RABBITMQ_LOG_BASE": directory("log"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": directory("plugins"),
                "RABBITMQ_CONF_ENV_FILE": directory("none"),
                "RABBITMQ_CONFIG_FILE": directory("rabbitmq.conf"),
                "RABBITMQ_DIST_PORT": "\(distributionPort)",
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "ERL_EPMD_PORT": "\(mapperPort)",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                    "-kernel inet_dist_use_interface {127,0,0,1} -mnesia core_dir false",
                "ERL_CRASH_DUMP": "/dev/null",
                // The script then becomes the node, instead of watching over it.
                "RUNNING_UNDER_SYSTEMD": "1",
            ])
        while !(Self.listens(port) && Self.listens(tlsPort)) {
            if ProtonServer.ended(node) {
                throw ChildProcess.Failure("RabbitMQ did not start: \(node.output) \(node.errorOutput)")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    func stop() {
        node.signal(SIGTERM)
        node.wait()
        mapper.signal(SIGTERM)
        mapper.wait()
    }

    private static func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else { throw ChildProcess.Failure("cannot write \(path)") }
        defer { fclose(file) }
        fputs(text, file)
    }

    // MARK: Ports

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard code == 0 else { throw ChildProcess.Failure("no free port: \(String(cString: strerror(errno)))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func listens(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}

/// Gives a suite one broker for all its tests, and ends it after them: a start takes seconds.
struct OneRabbitBroker: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let broker = try await RabbitBroker()
        defer { broker.stop() }
        try await RabbitBroker.$current.withValue(broker, operation: function)
    }
}
