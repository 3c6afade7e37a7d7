import Glibc
import LocalHub
import Logging
import OpenSSLTransport
import Synchronization
import TailraceAgent

/// The demo from start to end.
struct DemoRun {
    let directory: DemoDirectory
    let plan: LogWriter.Plan
    let seconds: Int

    /// How long the agent may take, after the last line was written, to get everything acknowledged.
    private static let drainSeconds = 25.0
    private static let isInterrupted = Atomic<Bool>(false)

    init(directory: DemoDirectory, plan: LogWriter.Plan, seconds: Int) {
        self.directory = directory
        self.plan = plan
        self.seconds = seconds
    }

    /// Returns whether the balance closes.
    func run() throws -> Bool {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { _ in DemoRun.isInterrupted.store(true, ordering: .relaxed) }
        }
        var screen = DemoScreen()
        mkdir(plan.directory, 0o755)
        let hub = try DemoHub.start(in: directory.path, key: Self.newKey())
        screen.say("hub           on \(hub.address), TLS, \(DemoHub.partitions) partitions")
        let configuration = try writeConfiguration(hub)
        let writer = LogWriter(plan)
        let thread = WriterThread(writer)
        defer { thread.stop() }
        screen.say("writers       \(plan.files) files, \(DemoScreen.grouped(plan.linesPerSecond)) lines a second")
        var agent = try startAgent(configuration)
        screen.say("agent         started, process \(agent.identifier)")

        let start = LogWriter.now()
        var isKilled = false
        var statusAtKill: DemoStatus?
        var acknowledgedBefore: (time: Double, count: Int) = (0, 0)
        var rate = 0.0
        var restartAt = 0.0
        var ended: Double?
        while true {
            usleep(100_000)
            try checkInterruption()
            let time = Double(LogWriter.now() - start) / 1e9
            if let problem = writer.problem { throw OwnProcess.Failure(description: problem) }
            if !isKilled, time >= Double(seconds) / 2 {
                statusAtKill = DemoStatus(controlSocket: directory("state/control.sock"))
                agent.kill()
                isKilled = true
                restartAt = time + 0.5
                screen.say("agent         killed with SIGKILL, in the middle of its work")
            }
            if restartAt > 0, time >= restartAt {
                restartAt = 0
                agent = try startAgent(configuration)
                screen.say("agent         started again, process \(agent.identifier)")
            }
            if restartAt == 0, agent.hasEnded {
                throw OwnProcess.Failure(description: "the agent ended by itself: \(agent.lastErrors)")
            }
            if ended == nil, time >= Double(seconds) {
                writer.stop()
                ended = time
            }
            let status = restartAt > 0 ? nil : DemoStatus(controlSocket: directory("state/control.sock"))
            if let status, time - acknowledgedBefore.time >= 1 {
                let lineSize = Double(writer.bytesWritten) / Double(max(1, writer.linesWritten))
                rate =
                    Double(max(0, status.acknowledged - acknowledgedBefore.count)) * lineSize / 1e6
                    / (time - acknowledgedBefore.time)
                acknowledgedBefore = (time, status.acknowledged)
            }
            screen.show(
                DemoScreen.Scene(
                    seconds: time, written: writer.linesWritten, bytes: writer.bytesWritten,
                    rotations: writer.rotationsMade, megabytesPerSecond: rate, status: status,
                    phase: ended != nil ? "draining" : restartAt > 0 ? "the agent is dead" : "writing"))
            guard let ended, writer.isDone else { continue }
            if let status, status.acknowledged >= writer.linesWritten { break }
            if time - ended > Self.drainSeconds {
                screen.say("the agent did not get everything acknowledged within \(Int(Self.drainSeconds)) s")
                break
            }
        }
        let last = DemoStatus(controlSocket: directory("state/control.sock"))
        let agentStopped = agent.stop(seconds: 20)
        if !agentStopped { screen.say("the agent did not stop in order: \(agent.lastErrors)") }
        _ = hub.process.stop(seconds: 20)
        return try report(
            &screen, writer, acknowledged: last?.acknowledged ?? 0, atKill: statusAtKill,
            guarantee: last?.guarantee ?? "unknown")
            && agentStopped
    }

    private func checkInterruption() throws {
        guard Self.isInterrupted.load(ordering: .relaxed) else { return }
        throw OwnProcess.Failure(description: "interrupted")
    }

    private static func newKey() -> String {
        Base64.encode((0..<32).map { _ in UInt8.random(in: 0 ... .max) })
    }

    private func startAgent(_ configuration: String) throws -> OwnProcess {
        try OwnProcess(["run", "--config", configuration], log: directory("agent"))
    }

    private func writeConfiguration(_ hub: DemoHub) throws -> String {
        let text = """
            [agent]
            state_directory = "\(directory("state"))"
            metrics = ""

            [input.app]
            type = "file"
            include = ["\(plan.directory)/*.log"]

            [output.hub]
            type = "eventhubs"
            connection_string = "\(hub.connectionString)"
            ca_file = "\(hub.authorityFile)"
            key = "source"

            """
        let path = directory("tailrace.toml")
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0, write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw OwnProcess.Failure(description: "cannot write \(path): \(String(cString: strerror(errno)))")
        }
        close(descriptor)
        return path
    }

    private func report(
        _ screen: inout DemoScreen, _ writer: LogWriter, acknowledged: Int, atKill: DemoStatus?, guarantee: String
    ) throws -> Bool {
        var balance = LineBalance(written: writer.written)
        var events = 0
        var perPartition: [Int] = []
        var logger = Logger(label: "demo") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        for partition in 0..<DemoHub.partitions {
            let count = try HubStore.forEachBody(
                directory: directory("hub-store"), partition: partition, logger: logger
            ) { balance.add($0) }
            events += count
            perPartition.append(count)
        }
        let closes = balance.closes && acknowledged == balance.written
        let group = DemoScreen.grouped
        let megabytes = DemoScreen.decimal(Double(writer.bytesWritten) / 1e6)
        screen.say(
            """

            The balance, read back from the hub's partitions (\(perPartition.map(group).joined(separator: " + ")) events):

              written       \(group(balance.written)) lines, \(megabytes) MB, \(writer.rotationsMade) rotations
              acknowledged  \(group(acknowledged))
              lost          \(group(balance.lost))
              duplicated    \(group(balance.duplicates))\(Self.reason(balance.duplicates))
              guarantee     \(guarantee)
              order         \(balance.misplaced == 0 ? "kept in every file" : "\(group(balance.misplaced)) lines in the wrong place")
            """)
        if let atKill {
            screen.say(
                "  at the kill   \(group(atKill.spooled)) spooled, of them \(group(max(0, atKill.spooled - atKill.acknowledged))) not yet acknowledged"
            )
        }
        if balance.foreign > 0 { screen.say("  damaged       \(group(balance.foreign)) events that nobody wrote") }
        screen.say("\n\(closes ? "The balance closes." : "The balance does NOT close.")")
        if !closes {
            screen.say("What happened is in \(directory.path) (run the demo with --keep DIRECTORY to have it stay).")
        }
        return closes
    }

    private static func reason(_ duplicates: Int) -> String {
        duplicates == 0
            ? "  (every event has a number: what the hub had before the kill was not sent again)"
            : "  (sent again after the kill: the ledger did not have them as acknowledged)"
    }
}
