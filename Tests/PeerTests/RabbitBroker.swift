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
            try LocalPort.free(), try LocalPort.free(), try LocalPort.free(), try LocalPort.free()
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
        while !(LocalPort.isServed(port) && LocalPort.isServed(tlsPort)) {
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
