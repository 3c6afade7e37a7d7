import EventHubs
import Glibc
import LocalHub
import TestSupport
import Testing

/// The real program is told to stop while something does not answer: it ends, with code 0, and has lost nothing.
@Suite struct ShutdownTests {
    private let directory = TemporaryDirectory("shutdown")

    private func hub() async throws -> LocalHub { try await LocalHub.started(in: directory) }

    private func output(_ hub: LocalHub) -> String { hub.output(directory) }

    private func output(port: Int) -> String {
        "connection_string = \"Endpoint=sb://127.0.0.1:\(port)/;SharedAccessKeyName=n;SharedAccessKey=a2V5;"
            + "EntityPath=logs\""
    }

    private func expectEnd(_ agent: AgentProcess, _ signals: Int32...) {
        for signal in signals { agent.process.signal(signal) }
        #expect(agent.process.wait() == .code(0), "\(agent.process.errorOutput)")
        let log = agent.process.errorOutput
        #expect(log.contains("stopped"), "\(log)")
        #expect(!log.contains("did not"), "\(log)")
        // Nobody who comes later takes it for running.
        #expect(access(directory("state/control.sock"), F_OK) != 0)
    }

    private func existed(_ count: Int) -> (AgentProcess.Status) -> Bool {
        { $0.number("existed", in: "inputs") == count }
    }

    /// What is read is in the spool, and goes to the first hub that answers.
    private func expectDelivery(_ agent: AgentProcess, _ count: Int) async throws {
        let hub = try await hub()
        let text = ChildProcess.text(agent.configurationPath)
        let start = try #require(text.firstRange(of: "connection_string"))
        try AgentProcess.write(text[..<start.lowerBound] + output(hub) + "\n", to: agent.configurationPath)
        try agent.restart()
        _ = try await agent.status { $0.number("acknowledged", in: "outputs") == count }
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    @Test func aHubThatIsAway() async throws {
        let agent = try AgentProcess(directory, output: output(port: try LocalPort.free()))
        try agent.log(Array("one\ntwo\n".utf8))
        _ = try await agent.status(until: existed(2))
        expectEnd(agent, SIGTERM)
        try await expectDelivery(agent, 2)
    }

    @Test func aHubThatAcceptsAndNeverAnswers() async throws {
        let server = try await ScriptedServer.start([{ _ in "" }])
        let agent = try AgentProcess(directory, output: output(port: server.port))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status(until: existed(1))
        expectEnd(agent, SIGTERM, SIGTERM, SIGINT, SIGHUP, SIGTERM)
        await server.stop()
        try await expectDelivery(agent, 1)
    }

    /// An agent whose second line is on its way to a hub that says nothing any more.
    private func lineInFlight() async throws -> (AgentProcess, HubProcess) {
        let server = try HubProcess(certificates: directory("certificates"))
        let agent = try AgentProcess(directory, output: server.output)
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.acknowledged(1) }
        server.process.hold()
        try agent.log(Array("two\n".utf8))
        _ = try await agent.status { $0.number("in_flight", in: "outputs") == 1 }
        return (agent, server)
    }

    @Test func aHubThatFallsSilentWithBatchesInFlight() async throws {
        let (agent, server) = try await lineInFlight()
        expectEnd(agent, SIGTERM, SIGHUP, SIGTERM)
        server.process.signal(SIGKILL)
    }

    /// The stop would wait for the answer for 5 s; a second signal does not let it.
    @Test func aSecondSignalEndsAtOnce() async throws {
        let (agent, server) = try await lineInFlight()
        agent.process.signal(SIGTERM)
        // Signals that come together are one.
        usleep(1_000_000)
        #expect(agent.process.isRunning)
        agent.process.signal(SIGINT)
        #expect(agent.process.wait() == .code(1), "\(agent.process.errorOutput)")
        #expect(agent.process.errorOutput.contains("ended at once, by a second signal"))
        server.process.signal(SIGCONT)
        try agent.restart()
        _ = try await agent.status { $0.number("acknowledged", in: "outputs") == 2 }
        #expect(agent.stop() == .code(0))
        server.process.signal(SIGKILL)
    }

    /// The name server takes the question and says nothing.
    @Test func aNameThatIsNeverResolved() async throws {
        // An address of its own: somebody may serve names here.
        let server = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(server) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(53).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F35_0935).bigEndian
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        // As for `mount`, it takes root's rights.
        guard isBound, geteuid() == 0 else { return }
        try AgentProcess.write(
            "nameserver 127.53.9.53\noptions timeout:30 attempts:5\n", to: directory("resolv.conf"))
        let launcher = [
            "/usr/bin/unshare", "--mount", "/bin/sh", "-c",
            "mount --bind '\(directory("resolv.conf"))' /etc/resolv.conf && exec \"$@\"", "sh",
        ]
        let agent = try AgentProcess(
            directory,
            output:
                "connection_string = \"Endpoint=sb://hub.tailrace.example/;SharedAccessKeyName=n;SharedAccessKey=a2V5;"
                + "EntityPath=logs\"", launcher: launcher)
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status(until: existed(1))
        var question = [UInt8](repeating: 0, count: 512)
        #expect(recv(server, &question, question.count, 0) > 0)
        expectEnd(agent, SIGTERM)
    }

    @Test func inputsThatAreHeldBackByAFullSpool() async throws {
        let agent = try AgentProcess(directory, spoolSize: "16MiB", output: output(port: try LocalPort.free()))
        let line = Array(repeating: UInt8(ascii: "x"), count: 1023) + [0x0A]
        for _ in 0..<32 { try agent.log(Array(repeating: line, count: 1024).flatMap { $0 }) }
        _ = try await agent.status { $0.text.contains("\"failure\":\"full") }
        expectEnd(agent, SIGTERM)
        try await expectDelivery(agent, 32 * 1024)
    }

    @Test func aFullDisk() async throws {
        let place = directory("state")
        mkdir(place, 0o755)
        guard mount("tmpfs", place, "tmpfs", 0, "size=24m") == 0 else { return }
        defer { umount2(place, CInt(MNT_DETACH)) }
        let agent = try AgentProcess(directory, output: output(port: try LocalPort.free()))
        let line = Array(repeating: UInt8(ascii: "x"), count: 1023) + [0x0A]
        for _ in 0..<40 { try agent.log(Array(repeating: line, count: 1024).flatMap { $0 }) }
        _ = try await agent.status { $0.text.contains("\"failure\":\"no space") }
        expectEnd(agent, SIGTERM)
    }

    /// A pipe among the logs, a sender that keeps its connection, and a journal.
    @Test func sourcesThatNeverEnd() async throws {
        let port = try LocalPort.free()
        mkdir(directory("logs"), 0o755)
        mkdir(directory("journal"), 0o755)
        #expect(mkfifo(directory("logs/pipe.log"), 0o600) == 0)
        let agent = try AgentProcess(
            directory,
            settings: """
                [input.net]
                type = "syslog"
                listen = ["tcp://127.0.0.1:\(port)"]
                [input.journal]
                type = "journal"
                directory = "\(directory("journal"))"
                """, output: output(port: try LocalPort.free()))
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status(until: existed(1))
        let sender = try ChildProcess(
            "/bin/bash", ["-c", "exec 3<>/dev/tcp/127.0.0.1/\(port); echo '<13>half' >&3; exec sleep 1000"])
        _ = try await agent.status { $0.text.contains("1 connections") }
        expectEnd(agent, SIGTERM)
        sender.signal(SIGKILL)
    }

    /// Blocks until the program has taken its signals into its own hands.
    private func awaitHandlers(_ process: Int32) {
        while true {
            let line = ChildProcess.text("/proc/\(process)/status").split(separator: "\n").first {
                $0.hasPrefix("SigCgt:")
            }
            let caught = line.flatMap { UInt64($0.dropFirst(7).drop { $0 == "\t" }, radix: 16) } ?? 0
            if [SIGTERM, SIGINT, SIGHUP].allSatisfy({ caught >> UInt64($0 - 1) & 1 == 1 }) { return }
            usleep(1000)
        }
    }

    @Test(arguments: [0, 1, 3, 10, 30, 100] as [UInt32])
    func aStopDuringTheStart(milliseconds: UInt32) async throws {
        let agent = try AgentProcess(directory, output: output(port: try LocalPort.free()))
        awaitHandlers(agent.process.identifier)
        usleep(milliseconds * 1000)
        for signal in [SIGHUP, SIGTERM, SIGHUP, SIGINT] { agent.process.signal(signal) }
        #expect(agent.process.wait() == .code(0), "\(agent.process.errorOutput)")
    }

    /// Somebody would have to write the key into a pipe first.
    @Test func aStartThatWaits() async throws {
        #expect(mkfifo(directory("key"), 0o600) == 0)
        let agent = try AgentProcess(directory, output: "connection_string_file = \"\(directory("key"))\"")
        awaitHandlers(agent.process.identifier)
        agent.process.signal(SIGHUP)
        agent.process.signal(SIGTERM)
        #expect(agent.process.wait() == .code(0), "\(agent.process.errorOutput)")
    }
}
