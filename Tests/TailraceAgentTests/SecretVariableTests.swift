import Glibc
import TestSupport
import Testing

@testable import TailraceAgent

/// Secrets in the environment.
@Suite struct SecretVariableTests {
    private let directory = TemporaryDirectory("variable")
    private static let string = "Endpoint=sb://a.example/;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs"

    private func load(_ output: String) throws(ConfigurationError) -> AgentConfiguration {
        try ConfigurationLoader.parse(
            Array("[input.a]\ntype = \"journal\"\n[output.h]\n\(output)\n".utf8), file: "t.toml")
    }

    private func problems(_ output: String) -> [ConfigurationProblem] {
        do {
            _ = try load(output)
            return []
        } catch {
            return error.problems
        }
    }

    private func hub(_ variable: String) -> String {
        "type = \"eventhubs\"\nconnection_string_file = \"environment:\(variable)\""
    }

    @Test func aVariableIsAsGoodAsAFile() throws {
        setenv("TAILRACE_TEST_STRING", " \(Self.string)\n", 1)
        defer { unsetenv("TAILRACE_TEST_STRING") }
        let configuration = try load(hub("TAILRACE_TEST_STRING"))
        guard case .eventHubs(let output) = try #require(configuration.outputs.first) else {
            Issue.record("no event hub")
            return
        }
        #expect(output.eventHub == "logs")
        #expect(configuration.warnings.isEmpty)
    }

    @Test func aTokenIsReadFromItEachTime() throws {
        setenv("TAILRACE_TEST_TOKEN", "token", 1)
        defer { unsetenv("TAILRACE_TEST_TOKEN") }
        let configuration = try load(
            """
            type = "pulsar"
            service_url = "pulsar://a.example"
            topic = "logs"
            token_file = "environment:TAILRACE_TEST_TOKEN"
            """)
        guard case .pulsar(let output) = try #require(configuration.outputs.first) else {
            Issue.record("no topic")
            return
        }
        #expect(output.identity == .tokenVariable("TAILRACE_TEST_TOKEN"))
    }

    @Test(arguments: [
        ("connection_string_file = \"environment:TAILRACE_TEST_NONE\"", "is not set"),
        ("connection_string_file = \"environment:\"", "environment:NAME"),
        ("connection_string_file = \"environment:1A\"", "environment:NAME"),
        ("connection_string_file = \"environment:A=B\"", "environment:NAME"),
        ("ca_file = \"environment:HOME\"", "must be a file"),
        ("namespace = \"n\"\nauth = \"workload_identity\"\ntoken_file = \"environment:HOME\"", "renewed in a file"),
    ])
    func whatIsNoneIsToldWithItsLine(_ line: String, _ words: String) throws {
        let found = problems("type = \"eventhubs\"\n\(line)")
        let problem = try #require(found.first { "\($0)".contains(words) }, "\(found)")
        #expect(problem.line == (line.hasPrefix("namespace") ? 7 : 5))
    }

    @Test func whatIsInItIsToldToNobody() throws {
        for value in ["CanaryOfTheEnvironment", "Endpoint=sb://h/;SharedAccessKey=CanaryOfTheEnvironment", "   "] {
            setenv("TAILRACE_TEST_CANARY", value, 1)
            let found = problems(hub("TAILRACE_TEST_CANARY"))
            #expect(!found.isEmpty)
            #expect(!"\(found)".contains("CanaryOf"), "\(found)")
        }
        unsetenv("TAILRACE_TEST_CANARY")
    }
}
