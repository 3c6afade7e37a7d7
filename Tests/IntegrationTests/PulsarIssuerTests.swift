import PulsarBroker
import Synchronization
import TestSupport
import Testing

/// An OAuth 2 issuer's tokens on the way of a line: the agent asks for them, the broker judges them.
@Suite struct PulsarIssuerTests {
    private let directory = TemporaryDirectory("pulsar-issuer")
    private static let wrong = "c4nary-that-nobody-knows"

    private func key(_ secret: String) throws {
        try AgentProcess.write(
            "{\"type\": \"client_credentials\", \"client_id\": \"\(IssuerDouble.client)\", "
                + "\"client_secret\": \"\(secret)\"}\n", to: directory("key.json"))
    }

    @Test func theAgentsTokensOpenTheBrokerAndAreReplacedWhenItAsks() async throws {
        let tokens = Mutex<[String]>([])
        var configuration = BrokerConfiguration(storeDirectory: directory("store"))
        configuration.tls = BrokerConfiguration.TLS(directory: directory("certificates"))
        configuration.authentication = .judged { token in
            guard case .accepted = IssuerDouble.verdict(token) else { return false }
            tokens.withLock { $0.append(token) }
            return true
        }
        let broker = try PulsarBroker(configuration)
        try await broker.start()
        let authority = try #require(broker.authorityFile)
        let issuers = try await IssuerDouble(try Python(), certificates: directory("certificates"))
        let run = "agent"
        try key(Self.wrong)
        let agent = try AgentProcess(
            directory, type: "pulsar",
            output: """
                service_url = "\(try #require(try await broker.serviceURL(tls: true)))"
                topic = "logs"
                key = "source"
                ca_file = "\(authority)"
                oauth2_issuer_url = "https://\(issuers.authority)/\(run)"
                oauth2_key_file = "\(directory("key.json"))"
                oauth2_audience = "urn:pulsar:test"
                oauth2_scope = "https://eventhubs.azure.net/.default"
                """,
            // The issuer is believed by the system's store, not by the broker's authorities.
            environment: ["SSL_CERT_FILE": authority])
        try agent.log(Array("one\n".utf8))
        let refused = try await agent.status { $0.text.contains("unauthorized; trying again") }
        #expect(!refused.text.contains("c4nary"))
        // The file is read again for every token.
        try key(IssuerDouble.secret)
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(tokens.withLock { $0.count } >= 1)

        // A token that the broker wants replaced is not shown again.
        let first = tokens.withLock { Set($0) }
        try await broker.challenge()
        while tokens.withLock({ Set($0) }) == first { try await Task.sleep(for: .milliseconds(10)) }
        try agent.log(Array("two\n".utf8))
        _ = try await agent.status { $0.acknowledged(2) }
        let shown = tokens.withLock { $0 }
        #expect(!first.contains(try #require(shown.last)))
        #expect(issuers.statuses(run).filter { $0 == 200 }.count == Set(shown).count)
        #expect(issuers.statuses(run).contains(401))
        #expect(agent.stop() == .code(0))
        #expect(!agent.process.errorOutput.contains("c4nary"))
        #expect(!agent.process.output.contains("c4nary"))
        #expect(
            try StoredMessage.all(inStore: directory("store")).flatMap { $0.messages.map(\.text) } == ["one", "two"])
        issuers.end()
        try await broker.stop()
    }
}
