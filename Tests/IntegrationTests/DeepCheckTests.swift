import EventHubs
import Glibc
import HubReading
import LocalHub
import OpenSSLTransport
import PulsarBroker
import TestSupport
import Testing

/// `tailrace check --deep` against real hubs, brokers, disks and users: what is well is told, and what is not.
@Suite struct DeepCheckTests {
    private let directory = TemporaryDirectory("deep")

    /// What a run of the command said.
    private struct Result {
        let exit: ChildProcess.Exit
        let lines: [Substring]
        let errorOutput: String

        /// The lines that are not well.
        var troubles: [Substring] { lines.filter { !$0.hasPrefix("ok ") } }

        func has(_ words: String...) -> Bool { lines.contains { line in words.allSatisfy { line.contains($0) } } }
    }

    private func check(_ words: [String] = [], as user: [String] = []) throws -> Result {
        let command =
            try user
            + [ChildProcess.built("tailrace"), "check", "--deep", "--config", directory("tailrace.toml")] + words
        let child = try ChildProcess(command[0], Array(command.dropFirst()))
        let exit = child.wait()
        return Result(exit: exit, lines: child.output.split(separator: "\n"), errorOutput: child.errorOutput)
    }

    private func write(_ output: String, type: String = "eventhubs", state: String? = nil, input: String = "") throws {
        mkdir(directory("logs"), 0o755)
        try directory.write("a line\n", to: "logs/app.log")
        try directory.write(
            """
            [agent]
            state_directory = "\(state ?? directory("state"))"
            [spool]
            maximum_size = "16MiB"
            [input.app]
            type = "file"
            include = ["\(directory("logs/*.log"))"]
            \(input)
            [output.hub]
            type = "\(type)"
            \(output)

            """, to: "tailrace.toml")
    }

    /// The one thing that is wrong.
    private func trouble(_ result: Result) throws -> String {
        #expect(result.exit == .code(1))
        #expect(result.troubles.count == 1, "\(result.troubles)")
        #expect(result.errorOutput.hasPrefix("tailrace: 1 error"))
        return String(try #require(result.troubles.first))
    }

    // MARK: What is well

    @Test func anAgentThatRunsIsWellAndIsNotDisturbed() async throws {
        let hub = try await LocalHub.started(in: directory)
        let (port, metrics) = (try LocalPort.free(), try LocalPort.free())
        let agent = try AgentProcess(
            directory,
            settings: """
                [input.net]
                type = "syslog"
                listen = ["udp://127.0.0.1:\(port)", "tcp://127.0.0.1:\(port)", "unix://\(directory("log"))"]
                receive_buffer = "64KiB"
                """, output: hub.output(directory))
        let text = ChildProcess.text(agent.configurationPath)
        _ = try await agent.status { _ in true }
        #expect(agent.stop() == .code(0))
        try AgentProcess.write(
            text.replacing("[agent]\n", with: "[agent]\nmetrics = \"127.0.0.1:\(metrics)\"\n"),
            to: agent.configurationPath)
        try agent.restart()
        try agent.log(Array("one\ntwo\n".utf8))
        let before = try await agent.status { $0.acknowledged(2) }

        let result = try check()
        #expect(result.exit == .code(0))
        #expect(result.troubles == [])
        #expect(result.has("configuration: \(directory("tailrace.toml")): valid"))
        #expect(result.has("the agent runs: process \(agent.process.identifier)"))
        #expect(result.has("spool: ", "1 segment", "2 records"))
        #expect(result.has("ledger: ", "acknowledged below 2", "0 records"))
        #expect(result.has("positions: ", "1 file (0 not there now)"))
        #expect(result.has("disk: "))
        #expect(result.has("input app", "1 file, all can be read"))
        for place in ["udp://127.0.0.1:\(port)", "tcp://127.0.0.1:\(port)", "unix://\(directory("log"))"] {
            #expect(result.has("input net: \(place): taken by the agent that runs"))
        }
        #expect(result.has("metrics: 127.0.0.1:\(metrics): taken by the agent that runs"))
        #expect(result.has("output hub, TCP: 127.0.0.1:\(hub.port)"))
        #expect(result.has("output hub, TLS", "certificate of", "valid until"))
        #expect(result.has("output hub, token: ", "accepted"))
        #expect(result.has("output hub, hub: ", "may be sent to"))
        #expect(result.has("output hub, partitions: ", "2, as in the ledger"))

        // The same producers go on, with the next line.
        try agent.log(Array("three\n".utf8))
        let after = try await agent.status { $0.acknowledged(3) }
        func guarantee(_ status: AgentProcess.Status) -> Substring? {
            status.text.firstMatch(of: /"guarantee":"[^"]*"/)?.output
        }
        #expect(guarantee(after) == guarantee(before))
        #expect(guarantee(after)?.contains("exactly once") == true)
        let consumer = try await HubConsumer(
            port: hub.port, authorityFile: directory("certificates/ca.pem"),
            user: hub.configuration.sharedAccessKeyName, password: hub.configuration.sharedAccessKey,
            hub: hub.configuration.hubName, partitions: 2)
        #expect(await consumer.events(atLeast: 3).count == 3)
        try await consumer.close()
        #expect(agent.stop() == .code(0))
        #expect(!agent.process.errorOutput.contains("warning"), "\(agent.process.errorOutput)")
        await hub.stop()
    }

    @Test func anAgentThatNeverRanIsWell() async throws {
        let hub = try await LocalHub.started(in: directory)
        try write(hub.output(directory), input: "[input.net]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:0\"]")
        let result = try check()
        #expect(result.exit == .code(0))
        #expect(result.has("state: \(directory("state")): is not there yet: the agent makes it"))
        #expect(result.has("input net: udp://127.0.0.1:0: free"))
        #expect(result.has("output hub, partitions", "nothing was sent there yet"))
        // Nothing was made.
        #expect(access(directory("state"), F_OK) != 0)
        await hub.stop()
    }

    @Test func scriptsGetJSON() async throws {
        try write(
            "connection_string = \"Endpoint=sb://h.invalid;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=e\"")
        let result = try check(["--json"])
        #expect(result.exit == .code(1))
        let line = try #require(result.lines.first)
        #expect(result.lines.count == 1)
        #expect(line.hasPrefix("{\"configuration\":\"\(directory("tailrace.toml"))\",\"errors\":1,\"warnings\":0,"))
        #expect(line.contains("{\"level\":\"error\",\"subject\":\"output hub, DNS\",\"place\":\"h.invalid\""))
    }

    // MARK: The way to a hub

    @Test func aWrongKey() async throws {
        let hub = try await LocalHub.started(in: directory, key: "KeyOfTheTestHub")
        try write(hub.output(directory).replacing("KeyOfTheTestHub", with: "CanaryOfAWrongKey"))
        let result = try check()
        let line = try trouble(result)
        #expect(line.hasPrefix("error   output hub, token: logs at 127.0.0.1:\(hub.port)"), "\(line)")
        #expect(line.contains("check that the key"), "\(line)")
        #expect(!result.lines.contains { $0.contains("CanaryOf") })
        await hub.stop()
    }

    @Test func aHubThatIsAway() throws {
        let port = try LocalPort.free()
        try write(
            "connection_string = \"Endpoint=sb://127.0.0.1:\(port);SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=e\""
        )
        let line = try trouble(try check())
        #expect(line.hasPrefix("error   output hub, TCP: 127.0.0.1:\(port): cannot connect"), "\(line)")
        #expect(line.contains("Connection refused; check host and port"), "\(line)")
    }

    @Test func aNameThatDoesNotExist() throws {
        try write(
            "connection_string = \"Endpoint=sb://h.invalid;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=e\"")
        let line = try trouble(try check())
        #expect(line.hasPrefix("error   output hub, DNS: h.invalid: "), "\(line)")
    }

    @Test func aHubThatDoesNotExist() async throws {
        let hub = try await LocalHub.started(in: directory)
        try write(hub.output(directory).replacing("EntityPath=logs", with: "EntityPath=another"))
        let line = try trouble(try check())
        #expect(line.hasPrefix("error   output hub, hub: another at 127.0.0.1:\(hub.port)"), "\(line)")
        #expect(line.contains("check the namespace and the name of the event hub"), "\(line)")
        await hub.stop()
    }

    @Test func anAuthorityThatNobodyTrusts() async throws {
        let hub = try await LocalHub.started(in: directory)
        try write("connection_string = \"\(hub.connectionString)\"")
        let line = try trouble(try check())
        #expect(line.hasPrefix("error   output hub, TLS: 127.0.0.1:\(hub.port)"), "\(line)")
        #expect(line.contains("set ca_file"), "\(line)")
        await hub.stop()
    }

    @Test(arguments: [
        (-7200...(-3600), "error", "set this machine's clock"), (3600...7200, "error", "set this machine's clock"),
        (-7200...7200, "warning", "in 0 days; have it renewed"),
    ])
    func aCertificateThatIsNotValidNow(_ validity: ClosedRange<Int>, _ level: String, _ words: String) async throws {
        mkdir(directory("certificates"), 0o755)
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("certificates/ca.pem"))
        try authority.issue(names: ["127.0.0.1", "localhost"], validity: validity).write(
            to: TLSIdentityFiles(
                certificateChain: directory("certificates/server.pem"),
                privateKey: directory("certificates/server.key")))
        let hub = try await LocalHub.started(in: directory)
        try write(hub.output(directory))
        let result = try check()
        let line = try #require(result.troubles.first)
        #expect(result.troubles.count == 1)
        #expect(line.hasPrefix(level) && line.contains("output hub, TLS: 127.0.0.1:\(hub.port)"), "\(line)")
        #expect(line.contains(words), "\(line)")
        #expect(result.exit == .code(level == "error" ? 1 : 0))
        await hub.stop()
    }

    @Test func aNameThatTheCertificateDoesNotBear() async throws {
        mkdir(directory("certificates"), 0o755)
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("certificates/ca.pem"))
        try authority.issue(names: ["hub.example"]).write(
            to: TLSIdentityFiles(
                certificateChain: directory("certificates/server.pem"),
                privateKey: directory("certificates/server.key")))
        let hub = try await LocalHub.started(in: directory)
        try write(hub.output(directory))
        #expect(try trouble(try check()).contains("connect by a name that the certificate bears"))
        await hub.stop()
    }

    @Test func aHubWithAnotherNumberOfPartitions() async throws {
        let first = try await LocalHub.started(in: directory, store: "two")
        let agent = try AgentProcess(directory, output: first.output(directory))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(agent.stop() == .code(0))
        let port = first.port
        await first.stop()
        for (count, level, words) in [
            (4, "warning", "4, and the ledger has 2; nothing is to be done"),
            (1, "error", "1, and the ledger has 2: it is another one"),
        ] {
            let hub = try await LocalHub.started(in: directory, store: "other \(count)", port: port, partitions: count)
            let result = try check()
            #expect(result.troubles.count == 1, "\(result.troubles)")
            let line = try #require(result.troubles.first)
            #expect(line.hasPrefix(level) && line.contains("output hub, partitions"), "\(line)")
            #expect(line.contains(words), "\(line)")
            await hub.stop()
        }
    }

    // MARK: This machine

    @Test func aPortThatSomebodyElseHas() async throws {
        let hub = try await LocalHub.started(in: directory)
        // The hub's own port is taken by somebody else, for sure; and so is that of the metrics.
        try write(
            hub.output(directory), input: "[input.net]\ntype = \"syslog\"\nlisten = [\"tcp://127.0.0.1:\(hub.port)\"]")
        let text = ChildProcess.text(directory("tailrace.toml"))
        let line = try trouble(try check())
        #expect(line.hasPrefix("error   input net: tcp://127.0.0.1:\(hub.port): "), "\(line)")
        #expect(line.contains("Address already in use; something else listens there: stop it"), "\(line)")
        try directory.write(
            text.replacing("tcp://127.0.0.1:\(hub.port)", with: "tcp://127.0.0.1:0")
                .replacing("[agent]", with: "[agent]\nmetrics = \"127.0.0.1:\(hub.port)\""), to: "tailrace.toml")
        let metrics = try trouble(try check())
        #expect(metrics.hasPrefix("error   metrics: 127.0.0.1:\(hub.port): Address already in use; stop"), "\(metrics)")
        await hub.stop()
    }

    /// A user without any rights.
    private static let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    @Test func filesWithoutRights() async throws {
        let hub = try await LocalHub.started(in: directory)
        try write(hub.output(directory), state: directory("own/state"))
        chmod(directory.path, 0o755)
        mkdir(directory("own"), 0o700)
        chown(directory("own"), 65534, 65534)
        try directory.write("a line\n", to: "logs/secret.log")
        chmod(directory("logs/secret.log"), 0o600)
        for name in ["tailrace.toml", "logs/app.log"] { chmod(directory(name), 0o644) }
        chmod(directory("certificates"), 0o755)
        let result = try check(as: Self.nobody)
        #expect(result.exit == .code(1))
        #expect(result.has("state: \(directory("own/state")): is not there yet"))
        #expect(result.has("error   input app: \(directory("logs/secret.log")): no right to read it; give"))
        #expect(result.has("warning input app", "2 files, some of which", "CAP_DAC_READ_SEARCH"))
        #expect(result.troubles.count == 2, "\(result.troubles)")
        // A directory that cannot be looked into hides what is in it.
        chmod(directory("logs"), 0o711)
        #expect(try check(as: Self.nobody).has("error   input app: \(directory("logs")): ", "may not look into it"))
        await hub.stop()
    }

    @Test func filesThatTheAgentMayReadAreWell() async throws {
        let hub = try await LocalHub.started(in: directory)
        let agent = try AgentProcess(directory, output: hub.output(directory))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        for path in [directory.path, directory("certificates"), directory("logs"), directory("state")] {
            chmod(path, 0o755)
        }
        chmod(agent.configurationPath, 0o644)
        chmod(directory("state/control.sock"), 0o666)
        let result = try check(as: Self.nobody)
        #expect(result.has("the agent runs: process \(agent.process.identifier)"))
        #expect(result.has("ok      input app: ", "1 file; what the user", "the agent that runs may"))
        #expect(agent.stop() == .code(0))
        #expect(try check(as: Self.nobody).has("error   input app: \(directory("logs/app.log")): no right to read it"))
        await hub.stop()
    }

    @Test func theStateOfAnotherUser() async throws {
        let hub = try await LocalHub.started(in: directory)
        let agent = try AgentProcess(directory, output: hub.output(directory))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(agent.stop() == .code(0))
        for path in [directory.path, directory("certificates"), directory("logs"), directory("logs/app.log")] {
            chmod(path, 0o755)
        }
        chmod(agent.configurationPath, 0o644)
        let line = try trouble(try check(as: Self.nobody))
        #expect(line.hasPrefix("error   state: \(directory("state")): the user "), "\(line)")
        #expect(line.contains("it belongs to root; run this as the agent's user: runuser -u root --"), "\(line)")
        // So does the agent, in one line.
        let run = try ChildProcess(
            Self.nobody[0],
            Self.nobody.dropFirst() + [ChildProcess.built("tailrace"), "run", "--config", agent.configurationPath])
        #expect(run.wait() == .code(1))
        #expect(run.errorOutput.split(separator: "\n").count == 1, "\(run.errorOutput)")
        #expect(run.errorOutput.contains("Permission denied; let the agent's user"), "\(run.errorOutput)")
        // And root, who may do everything, is told that this is not the agent's user.
        #expect(chown(directory("state"), 65534, 65534) == 0)
        let asRoot = try check()
        #expect(asRoot.exit == .code(0))
        #expect(asRoot.troubles.count == 1 && asRoot.has("warning state: ", "looked at as root", "runuser -u"))
        await hub.stop()
    }

    @Test func aConfigurationOfWhichOneFileMayNotBeRead() throws {
        try write(
            "connection_string = \"Endpoint=sb://h.invalid;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=e\"")
        chmod(directory.path, 0o755)
        chmod(directory("tailrace.toml"), 0o644)
        mkdir(directory("conf.d"), 0o755)
        try directory.write("[spool]\nsync = \"never\"\n", to: "conf.d/10-spool.toml")
        chmod(directory("conf.d/10-spool.toml"), 0o600)
        let result = try check(as: Self.nobody)
        #expect(result.exit == .code(78))
        #expect(result.errorOutput.split(separator: "\n").count == 1)
        #expect(
            result.errorOutput.contains(
                "\(directory("conf.d/10-spool.toml")): cannot be read: Permission denied; the user"),
            "\(result.errorOutput)")
        #expect(result.errorOutput.contains("must be able to read it"), "\(result.errorOutput)")
    }

    @Test func aFullDisk() async throws {
        let hub = try await LocalHub.started(in: directory)
        let disk = try LoopFileSystem(directory, mebibytes: 64)
        try write(hub.output(directory), state: disk("state"))
        #expect(try check().exit == .code(0))
        let file = open(disk("others"), O_WRONLY | O_CREAT, 0o600)
        let block = [UInt8](repeating: 1, count: 1 << 20)
        while Glibc.write(file, block, block.count) > 0 {}
        close(file)
        let line = try trouble(try check())
        #expect(line.hasPrefix("error   disk: \(disk.path): "), "\(line)")
        #expect(line.contains("the spool cannot grow, and inputs wait; free some space"), "\(line)")
        await hub.stop()
    }

    @Test func whatIsNotOurs() async throws {
        let hub = try await LocalHub.started(in: directory)
        let agent = try AgentProcess(directory, output: hub.output(directory))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(agent.stop() == .code(0))
        try directory.write("mine", to: "state/notes.txt")
        try directory.write("mine", to: "state/spool/backup.tar")
        mkdir(directory("state/dead-letters-old"), 0o700)
        #expect(rename(directory("state/spool/hub.ledger"), directory("state/spool/gone.ledger")) == 0)
        let result = try check()
        #expect(result.exit == .code(0))
        #expect(result.has("warning state: \(directory("state")): not a part of it: notes.txt; move away"))
        #expect(result.has("warning state: \(directory("state/spool")): not a part of it: backup.tar"))
        #expect(result.has("warning state: \(directory("state/dead-letters-old")): the dead letters of an output"))
        #expect(result.has("warning ledger: \(directory("state/spool/gone.ledger")): belongs to no output"))
        #expect(result.troubles.count == 4, "\(result.troubles)")
        for name in ["state/notes.txt", "state/spool/backup.tar"] { #expect(access(directory(name), F_OK) == 0) }
        await hub.stop()
    }

    // MARK: Pulsar

    private func broker(_ change: (inout BrokerConfiguration) -> Void = { _ in }) async throws -> PulsarBroker {
        var configuration = BrokerConfiguration(storeDirectory: directory("broker"))
        configuration.partitions = ["persistent://public/default/logs": 3]
        configuration.tls = .init(directory: directory("broker-tls"))
        change(&configuration)
        let broker = try PulsarBroker(configuration)
        try await broker.start()
        return broker
    }

    private func output(_ broker: PulsarBroker, token: String = "right") async throws -> String {
        try directory.write(token, to: "token")
        chmod(directory("token"), 0o600)
        return """
            service_url = "\(try #require(try await broker.serviceURL(tls: true)))"
            topic = "logs"
            ca_file = "\(try #require(broker.authorityFile))"
            token_file = "\(directory("token"))"
            """
    }

    @Test func aTopicThatIsWell() async throws {
        let broker = try await broker { $0.authentication = .token(["right"]) }
        let agent = try AgentProcess(directory, type: "pulsar", output: try await output(broker))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        let result = try check()
        #expect(result.exit == .code(0))
        #expect(result.troubles == [], "\(result.troubles)")
        #expect(result.has("output hub, TLS: ", "certificate of"))
        #expect(result.has("output hub, token: ", "accepted (token)"))
        #expect(result.has("output hub, topic: persistent://public/default/logs: served by"))
        #expect(result.has("output hub, partitions: ", "3, as in the ledger"))
        try agent.log(Array("two\n".utf8))
        let status = try await agent.status { $0.acknowledged(2) }
        #expect(status.text.contains("exactly once"))
        #expect(agent.stop() == .code(0))
        #expect(try StoredMessage.all(inStore: directory("broker")).flatMap(\.messages).map(\.text) == ["one", "two"])
        try await broker.stop()
    }

    @Test func aTokenThatABrokerDoesNotTake() async throws {
        let broker = try await broker { $0.authentication = .token(["right"]) }
        try write(try await output(broker, token: "CanaryOfAWrongToken"), type: "pulsar")
        let result = try check()
        let line = try trouble(result)
        #expect(line.hasPrefix("error   output hub, token: "), "\(line)")
        #expect(line.contains("check the token"), "\(line)")
        #expect(!result.lines.contains { $0.contains("CanaryOf") })
        try await broker.stop()
    }

    @Test func aTopicWithFewerPartitions() async throws {
        let first = try await broker { $0.authentication = .token(["right"]) }
        let agent = try AgentProcess(directory, type: "pulsar", output: try await output(first))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        #expect(agent.stop() == .code(0))
        try await first.stop()
        let second = try await broker {
            $0.authentication = .token(["right"])
            $0.partitions = [:]
        }
        try write(try await output(second), type: "pulsar")
        let line = try trouble(try check())
        #expect(line.contains("1, and the ledger has 3: it is another one"), "\(line)")
        try await second.stop()
    }

    @Test func aBrokerThatIsAway() throws {
        let port = try LocalPort.free()
        try write(
            "service_url = \"pulsar://h.invalid:6650,127.0.0.1:\(port)\"\ntopic = \"logs\"", type: "pulsar")
        let result = try check()
        #expect(result.exit == .code(1))
        #expect(result.troubles.count == 2)
        #expect(result.has("error   output hub, DNS: h.invalid: "))
        #expect(result.has("error   output hub, TCP: 127.0.0.1:\(port): cannot connect"))
    }
}
