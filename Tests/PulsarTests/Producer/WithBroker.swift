import NIOCore
import Pulsar
import PulsarBroker
import TestSupport

/// A broker for one test, and clients of it.
struct WithBroker: Sendable {
    static let topic = "persistent://public/default/t"

    let broker: PulsarBroker
    let url: String

    /// Both stop when `body` ends, whatever it made of it.
    static func run(
        _ clientOptions: PulsarClientOptions = quick, _ change: (inout BrokerConfiguration) -> Void = { _ in },
        _ body: (WithBroker, PulsarClient) async throws -> Void
    ) async throws {
        let directory = TemporaryDirectory("pulsar-producer")
        var configuration = BrokerConfiguration(storeDirectory: directory("store"))
        change(&configuration)
        let broker = try PulsarBroker(configuration)
        try await broker.start()
        let url = try await broker.serviceURL() ?? ""
        let client = try PulsarClient(serviceURL: url, options: clientOptions)
        let result: Result<Void, any Error>
        do {
            try await body(WithBroker(broker: broker, url: url), client)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await client.close()
        try await broker.stop()
        try result.get()
    }

    /// Waits that tests need not have.
    static var quick: PulsarClientOptions {
        var options = PulsarClientOptions()
        options.initialBackoff = .milliseconds(1)
        options.maximumBackoff = .milliseconds(20)
        return options
    }

    func texts(_ topic: String = topic) async throws -> [String] { try await broker.messages(of: topic).map(\.text) }
}
