import Glibc
import Synchronization
import TestSupport
import Testing
import Transports

/// The broker of the Python package pulsar-lite, which we did not write. It stores durably and speaks all of the protocol
/// that sending needs; it knows no deduplication, no TLS and no refusals.
final class PulsarLite: Sendable {
    /// A message as the official client reads it.
    struct Received: Sendable {
        var payload: [UInt8]
        var isNull: Bool
        /// -1 when the topic has no partitions; the same for `batchIndex` and a message that came alone.
        var partition: Int
        var entry: Int
        var batchIndex: Int
        var producer: String
        var key: String
        var orderingKey: String
        var properties: [String: String]
        /// Milliseconds; 0: none.
        var eventTime: Int
        var publishTime: Int
    }

    /// A message for the official client to send.
    struct Sent: Sendable {
        var payload: [UInt8]
        var key: String?
    }

    let serviceURL: String
    private let child: Mutex<ChildProcess>
    private let arguments: [String]
    private let python: Python
    private let port: Int
    private let directory = TemporaryDirectory("pulsar-lite")

    /// - Parameter partitions: of every topic; 0: topics without partitions.
    init(_ python: Python, partitions: Int = 0) async throws {
        self.python = python
        port = try LocalPort.free()
        serviceURL = "pulsar://127.0.0.1:\(port)"
        let configuration = try directory.write("default_partitions = \(partitions)\n", to: "configuration")
        arguments = [
            "\(python.scripts)/pulsar_broker.py", "--config", configuration, "--addr",
            "127.0.0.1:\(port)", "--db-path", directory("store"), "--log-level", "info",
        ]
        child = Mutex(try ChildProcess(python.interpreter, arguments))
        try await ready()
    }

    /// Until it says that it listens. That another one has its fixed port for metrics, 8080, does not matter to it.
    private func ready() async throws {
        while true {
            let (isRunning, output) = child.withLock { ($0.isRunning, $0.output + $0.errorOutput) }
            if output.contains("Server listening on") { return }
            guard isRunning else { throw ChildProcess.Failure("pulsar-lite did not start: \(output.suffix(2000))") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// kill -9: whatever was not yet stored is gone.
    func kill() {
        child.withLock { child in
            child.signal(SIGKILL)
            child.wait()
        }
    }

    /// On the same data and port, after `kill`.
    func restart() async throws {
        try child.withLock { $0 = try ChildProcess(python.interpreter, arguments) }
        try await ready()
    }

    /// All messages of a topic, in the order of each partition.
    ///
    /// - Parameters:
    ///   - count: of a topic with partitions: how many there must be. More are told too.
    ///   - privateKey: a PEM file, for what is encrypted; nil: that is given as it is.
    func messages(of topic: String, count: Int? = nil, privateKey: String? = nil) async throws -> [Received] {
        let directory = TemporaryDirectory("pulsar-messages")
        let path = directory("messages")
        let run = try await python.runAlone(
            "pulsar_consume.py",
            ["--service-url", serviceURL, "--topic", topic, "--output", path]
                + (count.map { ["--count", "\($0)"] } ?? []) + (privateKey.map { ["--private-key", $0] } ?? []))
        try #require(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
        let messages = try ChildProcess.text(path).split(separator: "\n").map { try Self.message($0) }
        // By partition, each as it came.
        return messages.enumerated().sorted { ($0.element.partition, $0.offset) < ($1.element.partition, $1.offset) }
            .map(\.element)
    }

    private static func message(_ line: Substring) throws -> Received {
        let json = try JSONValue(Array(line.utf8))
        func number(_ name: String) throws -> Int { Int(try #require(json[name]?.integer)) }
        func text(_ name: String) throws -> String { try #require(json[name]?.text) }
        guard case .object(let members)? = json["properties"], case .boolean(let isNull)? = json["is_null"] else {
            throw ChildProcess.Failure("not a message: \(line.prefix(500))")
        }
        return Received(
            payload: Python.decode(try text("payload")), isNull: isNull, partition: try number("partition"),
            entry: try number("entry"), batchIndex: try number("batch_index"), producer: try text("producer"),
            key: try text("key"), orderingKey: try text("ordering_key"), properties: members.compactMapValues(\.text),
            eventTime: try number("event_time"), publishTime: try number("publish_time"))
    }

    /// Sends with the official client.
    func produce(_ messages: [Sent], to topic: String, _ options: [String] = []) async throws {
        let directory = TemporaryDirectory("pulsar-input")
        let input = messages.map { message in
            let key = message.key.map { ", \"key\": \"\($0)\"" } ?? ""
            return "{\"payload\": \"\(Python.base64(message.payload))\"\(key)}\n"
        }
        let path = try directory.write(input.joined(), to: "input")
        let run = try await python.runAlone(
            "pulsar_produce.py",
            ["--service-url", serviceURL, "--topic", topic, "--input", path] + options)
        try #require(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
    }
}
