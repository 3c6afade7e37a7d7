import LocalHub
import Logging
import TestSupport
import Testing
import Transports

/// `tailrace status --json`, which scripts read: what a real agent prints is what tailrace(8) says, name by name.
@Suite struct StatusFormatTests {
    private let directory = TemporaryDirectory("status")

    /// The names of all members, such as `inputs[].drops[].reason`.
    private func paths(_ json: JSONValue, _ path: String = "") -> Set<String> {
        switch json {
        case .object(let members):
            members.reduce(into: []) { found, member in
                let name = path.isEmpty ? member.key : "\(path).\(member.key)"
                found.insert(name)
                found.formUnion(paths(member.value, name))
            }
        case .array(let elements): elements.reduce(into: []) { $0.formUnion(paths($1, path + "[]")) }
        default: []
        }
    }

    @Test func everyMemberIsInTheManualAndNoOther() async throws {
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        let hub = try LocalHub(configuration, logger: Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() })
        _ = try await hub.start()
        let agent = try AgentProcess(directory, output: "connection_string = \"\(hub.connectionString)\"")
        try agent.log(Array("one\n".utf8))
        let status = try await agent.status { $0.number("acknowledged", in: "outputs") == 1 }
        #expect(agent.stop() == .code(0))
        await hub.stop()

        let json = try JSONValue(Array(status.text.utf8))
        #expect(json["format"] == .number("1"))
        // Raised when a member goes or means something else: who does that changes this test too.
        let page = ManualPage.operations.items("Ic", under: "Status as JSON")
        #expect(page.first == "format")
        // Every list has an element here, or the members of its elements would be missed.
        #expect(Set(page) == paths(json))
        #expect(Set(page).count == page.count)
    }
}
