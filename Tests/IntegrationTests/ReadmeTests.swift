import EventHubs
import Glibc
import LocalHub
import Logging
import Pulsar
import PulsarBroker
import TestSupport
import Testing

/// The README's configuration and commands, typed as they stand there; only the places are a test's own.
@Suite struct ReadmeTests {
    private let directory = TemporaryDirectory("readme")

    /// The fenced blocks of a language, in order.
    private func blocks(_ language: String) -> [String] {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let parts = ChildProcess.text("/\(root)/README.md").split(separator: "```", omittingEmptySubsequences: false)
        return parts.indices.filter { $0 % 2 == 1 && parts[$0].hasPrefix(language + "\n") }
            .map { String(parts[$0].dropFirst(language.count + 1)) }
    }

    /// Starts the README's command that begins with `beginning`.
    private func start(_ beginning: String) throws -> ChildProcess {
        let lines = blocks("sh").flatMap { $0.split(separator: "\n") }
        let line = try #require(lines.first { $0.hasPrefix(beginning) }, "the README has no command \(beginning)")
        var words = line.prefix { $0 != "#" }.split(separator: " ").dropFirst().map {
            switch $0 {
            case "127.0.0.1:5671": "127.0.0.1:0"
            case "certificates", "certificates/ca.pem", "tailrace.toml", "hub.key", "lines.txt", "sample.log":
                directory(String($0))
            default: String($0)
            }
        }
        var input = "/dev/null"
        if let arrow = words.firstIndex(of: "<") {
            input = words[arrow + 1]
            words.removeSubrange(arrow...)
        }
        return try ChildProcess(ChildProcess.built("tailrace"), words, input: input)
    }

    @Test func whatTheReadmeShowsWorksAsItStands() async throws {
        let hub = try start("tailrace hub")
        while !hub.output.contains("ca file:") { try await Task.sleep(for: .milliseconds(10)) }
        let connection = try #require(hub.output.split(separator: "\n").first { $0.contains("Endpoint=") })
        try AgentProcess.write(
            String(connection.drop { $0 != "E" }) + "\n", to: directory("hub.key"))
        mkdir(directory("app"), 0o755)
        try AgentProcess.write("one\ntwo\nthree\n", to: directory("app/a.log"))

        let tables = blocks("toml")
        try #require(tables.count == 8)
        // The fourth one is a line of the output.
        try writeConfiguration(tables[0] + tables[3])

        let check = try start("tailrace check")
        #expect(check.wait() == .code(0), "\(check.errorOutput)")
        #expect(check.output.contains("1 file matches now"))
        let agent = try start("tailrace run")
        while true {
            let status = try start("tailrace status")
            if status.wait() == .code(0), status.output.contains("spooled 3 = acknowledged 3 + in flight 0") {
                #expect(!status.output.contains("DOES NOT CLOSE"))
                break
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        agent.signal(SIGTERM)
        #expect(agent.wait() == .code(0))

        try AgentProcess.write("four\nfive\n", to: directory("lines.txt"))
        for command in ["tailrace send --connection", "tailrace send --buffered"] {
            let send = try start(command)
            #expect(send.wait() == .code(0), "\(send.errorOutput)")
            #expect(send.output.hasPrefix("sent 2 events, "))
        }
        hub.signal(SIGTERM)
        #expect(hub.wait() == .code(0))
    }

    private func writeConfiguration(_ tables: String) throws {
        let text = "[agent]\nstate_directory = \"\(directory("state"))\"\n" + tables
        try AgentProcess.write(
            text.replacing("/var/log/app", with: directory("app"))
                .replacing("/etc/tailrace/hub.key", with: directory("hub.key"))
                .replacing("certificates/", with: directory("certificates/")),
            to: directory("tailrace.toml"))
    }

    @Test func theOtherInputsAreValidAndTheirCommandsAnswer() throws {
        mkdir(directory("certificates"), 0o755)
        try AgentProcess.write(
            "Endpoint=sb://ns.example;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs\n",
            to: directory("hub.key"))
        let tables = blocks("toml")
        try #require(tables.count == 8)
        try writeConfiguration(tables[0] + tables[1] + tables[2])
        try AgentProcess.write(
            "2026-01-01 started\n  at the second line\n2026-01-02 GET /health\n2026-01-03 password=secret\n",
            to: directory("sample.log"))
        let sample = try start("tailrace check --config tailrace.toml --try")
        #expect(sample.wait() == .code(0), "\(sample.errorOutput)")
        #expect(sample.output.contains("at the second line"))
        #expect(sample.output.contains("password=***"))
        #expect(!sample.output.contains("secret"))
        let explanation = try start("tailrace explain")
        #expect(explanation.wait() == .code(0), "\(explanation.errorOutput)")
        #expect(explanation.output.contains("/srv/a/web.log"))
        // No agent has been here.
        let positions = try start("tailrace positions")
        #expect(positions.wait() != .code(2), "\(positions.errorOutput)")
    }

    @Test(arguments: 4..<8) func theWorkedConfigurationsAreValid(_ index: Int) throws {
        try AgentProcess.write(
            "Endpoint=sb://ns.example;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs\n",
            to: directory("hub.key"))
        try AgentProcess.write("token\n", to: directory("pulsar.token"))
        // Tables may come in any order, but a key of none may not come behind one.
        let text = blocks("toml")[index].replacing("/etc/tailrace/pulsar.token", with: directory("pulsar.token"))
        try writeConfiguration(text)
        let check = try ChildProcess(
            ChildProcess.built("tailrace"), ["check", "--config", directory("tailrace.toml")])
        #expect(check.wait() == .code(0), "\(check.errorOutput)")
    }

    /// What stands in the text, `key = value`, is taken in one of the tables.
    @Test func theKeysInTheTextAreValid() throws {
        let text = ChildProcess.text("\(HazardTests.root)/README.md")
        // Outside of blocks.
        let prose = text.split(separator: "```", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 0 }.map(\.element).joined(separator: " ")
        let settings = prose.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 && $0.element.wholeMatch(of: /[a-z_]+ = .+/) != nil }.map {
                String($0.element)
            }
        #expect(settings.count >= 2)
        try AgentProcess.write(
            "Endpoint=sb://ns.example;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs\n",
            to: directory("hub.key"))
        for setting in settings {
            let taken = try ["[agent]", "[spool]", "[input.app]", "[output.hub]"].contains { header in
                let tables = [
                    ("[agent]", "state_directory = \"\(directory("state"))\""), ("[spool]", ""),
                    ("[input.app]", "type = \"file\"\ninclude = [\"/var/log/app/*.log\"]"),
                    ("[output.hub]", "type = \"eventhubs\""),
                ]
                let isConnected = setting.hasPrefix("connection_string")
                try AgentProcess.write(
                    tables.map { name, keys in
                        let own = name == header ? setting : ""
                        let connection =
                            name == "[output.hub]" && !isConnected
                            ? "connection_string_file = \"\(directory("hub.key"))\"" : ""
                        return [name, keys, connection, own].joined(separator: "\n")
                    }.joined(separator: "\n"), to: directory("tailrace.toml"))
                let check = try ChildProcess(
                    ChildProcess.built("tailrace"), ["check", "--config", directory("tailrace.toml")],
                    environment: ["CREDENTIALS_DIRECTORY": directory.path])
                return check.wait() == .code(0)
            }
            #expect(taken, "no table takes \(setting)")
        }
    }

    /// In a terminal it shows more: see `TopTests`.
    @Test func topWantsATerminal() throws {
        try writeConfiguration(blocks("toml")[0])
        let top = try start("tailrace top")
        #expect(top.wait() == .code(1))
        #expect(top.errorOutput.contains("no agent answers"))
    }

    /// The README's lines of Swift are those of the functions below, which are compiled, and run where a service is.
    @Test func theReadmesSwiftIsCompiledAndRuns() async throws {
        let source = Set(
            ChildProcess.text(#filePath).split(separator: "\n").map { line in line.drop { $0 == " " } })
        let text = blocks("swift").joined(separator: "\n")
        let lines = text.split(separator: "\n").map { line in line.drop { $0 == " " } }
        #expect(lines.count > 5)
        #expect(lines.filter { !source.contains($0) } == [])

        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.hubName = "telemetry"
        let hub = try LocalHub(configuration, logger: Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() })
        _ = try await hub.start()
        try await plain(hub.connectionString)
        #expect(hub.statistics.partitions.reduce(0) { $0 + $1.eventsStored } == 1)
        await hub.stop()

        let broker = try PulsarBroker(BrokerConfiguration(storeDirectory: directory("broker")))
        try await broker.start()
        try await pulsar(try #require(try await broker.serviceURL()))
        let stored = try await broker.messages(of: "persistent://public/default/telemetry")
        #expect(stored.map(\.producerName) == ["sensors-1"])
        try await broker.stop()
    }

    private func pulsar(_ url: String) async throws {
        let pulsar = try PulsarClient(serviceURL: url)
        var options = PulsarProducerOptions()
        options.name = "sensors-1"
        options.isBatchingEnabled = true
        let producer = try await pulsar.makeProducer(topic: "telemetry", options: options)
        var message = PulsarMessage("21.7")
        message.partitionKey = "t-7"
        let id = try await producer.send(message)
        #expect(!id.isDuplicate)
        try await producer.close()
        await pulsar.close()
    }

    private func plain(_ text: String) async throws {
        let client = try EventHubProducerClient(connectionString: text, eventHubName: "telemetry")
        let event = EventData("21.5", properties: ["sensor": "t-7"])
        try await client.send(event, partitionKey: "t-7", timeout: .seconds(10))
        await client.close()
    }

    /// For a virtual machine of Azure.
    private func buffered() async throws {
        let buffered = try EventHubBufferedProducerClient(
            fullyQualifiedNamespace: "contoso.servicebus.windows.net", eventHubName: "telemetry",
            credential: .managedIdentity(), buffering: BufferingOptions())
        try await buffered.enqueue(EventData("21.6"), partitionKey: "t-7")
        try await buffered.close(flush: true)
    }
}
