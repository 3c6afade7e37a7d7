import Glibc

/// The Pulsar broker of `Tests/pulsar-broker` as a process of its own, which can be killed and started again. The target
/// of the test must depend on `pulsar-broker`.
public final class PulsarBrokerProcess {
    public let directory: TemporaryDirectory
    /// `broker 0 URL`, `proxy URL` and the like, as it prints them.
    public private(set) var addresses: [String] = []
    private var process: ChildProcess
    private let options: [String]

    /// - Parameters:
    ///   - directory: where it keeps its topics, in `store`.
    ///   - options: more of its command line. Without a port it has another one after a restart.
    public init(_ options: [String] = [], directory: TemporaryDirectory = TemporaryDirectory("pulsar-broker"))
        async throws
    {
        self.directory = directory
        self.options = options
        process = try Self.start(directory, options)
        try await ready()
    }

    private static func start(_ directory: TemporaryDirectory, _ options: [String]) throws -> ChildProcess {
        try ChildProcess(
            ChildProcess.built("pulsar-broker"), ["serve", "--store", directory("store")] + options)
    }

    private func ready() async throws {
        while true {
            let lines = process.output.split(separator: "\n").map(String.init)
            if lines.last == "ready" {
                addresses = lines
                return
            }
            guard process.isRunning else {
                throw ChildProcess.Failure("the broker did not start: \(process.errorOutput)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// What stands behind `name` in the addresses, such as `broker 0`.
    public func url(_ name: String = "broker 0", tls: Bool = false) throws -> String {
        for line in addresses {
            guard line.hasPrefix("\(name) "), let url = line.split(separator: " ").last else { continue }
            if name == "authority" || url.hasPrefix("pulsar+ssl:") == tls { return String(url) }
        }
        throw ChildProcess.Failure("the broker has no \(name)")
    }

    /// kill -9.
    public func kill() {
        process.signal(SIGKILL)
        process.wait()
    }

    public func restart() async throws {
        process = try Self.start(directory, options)
        try await ready()
    }

    /// The messages of a topic, or of all, each as one line of JSON; whether the broker runs or not.
    public func dump(_ topic: String? = nil) throws -> [String] {
        let dump = try ChildProcess(
            ChildProcess.built("pulsar-broker"),
            ["dump", "--store", directory("store")] + (topic.map { ["--topic", $0] } ?? []))
        guard dump.wait() == .code(0) else { throw ChildProcess.Failure("no dump: \(dump.errorOutput)") }
        return dump.output.split(separator: "\n").map(String.init)
    }
}
