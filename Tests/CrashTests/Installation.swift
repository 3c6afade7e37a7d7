import Glibc
import TailraceAgent
import TestSupport

@testable import tailrace

/// A service, an agent and the logs that it follows, in a directory of their own; the service and the agent are processes
/// that can be killed.
final class Installation {
    struct Failure: Error, CustomStringConvertible { var description: String }

    private let directory = TemporaryDirectory("crash")
    private let program: String
    private let service: any CrashService
    private let state: String?
    private let spoolSettings: String
    private(set) var agent: OwnProcess?
    /// Of the agents that are started from now on.
    var logLevel = "info"

    /// - Parameters:
    ///   - state: the agent's state directory; nil: beside the rest.
    ///   - spool: the lines of `[spool]`.
    init(
        state: String? = nil, spool: String = "", _ service: (TemporaryDirectory) throws -> any CrashService
    ) throws {
        self.state = state
        spoolSettings = spool
        self.service = try service(directory)
        program = try ChildProcess.built("tailrace")
        guard mkdir(logs, 0o755) == 0 else { throw Failure(description: "cannot make \(logs)") }
    }

    var logs: String { directory("logs") }
    var stateDirectory: String { state ?? directory("state") }
    var spool: String { "\(stateDirectory)/spool" }

    func startService() throws {
        try service.start()
        let text = """
            [agent]
            state_directory = "\(stateDirectory)"
            metrics = ""

            [spool]
            \(spoolSettings)

            [input.app]
            type = "file"
            include = ["\(logs)/*.log"]

            \(service.output)

            """
        let descriptor = open(directory("tailrace.toml"), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        guard write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw Failure(description: "cannot write the configuration")
        }
    }

    func killService() { service.kill() }

    func startAgent() throws {
        agent = try OwnProcess(
            ["run", "--config", directory("tailrace.toml"), "--log-level", logLevel], log: directory("agent"),
            program: program)
    }

    func killAgent() { agent?.kill() }

    var status: DemoStatus? { DemoStatus(controlSocket: "\(stateDirectory)/control.sock") }

    /// All that the agent tells, as JSON; empty while it does not answer.
    var statusText: String {
        let reply = try? ControlClient.ask("status json", path: "\(stateDirectory)/control.sock")
        return String(decoding: reply ?? [], as: UTF8.self)
    }

    /// What the agent said last, for a failed test.
    var lastWords: String { agent?.lastErrors ?? "" }

    /// What the agent said about the spool that it found, each time that it was not in order.
    var recoveryNotes: [String] {
        ChildProcess.text(directory("agent.err")).split(separator: "\n").filter {
            $0.contains("ids_skipped") || $0.contains("damaged") || $0.contains("quarantine")
        }.map(String.init)
    }

    /// What all the agents said, of those lines that have one of the words.
    func notes(of words: [String]) -> [Substring] {
        ChildProcess.text(directory("agent.err")).split(separator: "\n").filter { line in
            words.contains { line.contains($0) }
        }
    }

    /// Waits until the agent's status is such.
    func reach(_ what: String, _ isSo: (_ status: String) -> Bool) async throws {
        for _ in 0..<1200 {
            if isSo(statusText) { return }
            if agent?.hasEnded == true { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure(description: "\(what): \(statusText) \(lastWords)")
    }

    /// Waits until the agent has read everything and everything that it has read is acknowledged.
    func settle(lines: Int, seconds: Int = 60) async throws {
        for _ in 0..<(seconds * 20) {
            if let status, status.lagBytes == 0, status.unsettled == 0, status.acknowledged >= lines {
                return
            }
            if agent?.hasEnded == true { throw Failure(description: "the agent ended by itself: \(lastWords)") }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure(description: "not settled: \(status.map { "\($0)" } ?? "no status"); \(lastWords)")
    }

    /// Waits until so many records are acknowledged, nothing is left to read, and nothing has come for some seconds: what
    /// waits for the end of a rotation comes late. When that takes too long, the balance tells what is missing.
    func settle(atLeast records: Int, seconds: Int = 120) async throws {
        var last = -1
        var quiet = 0
        for _ in 0..<(seconds * 4) {
            let status = status
            let isSettled = status?.lagBytes == 0 && status?.unsettled == 0 && (status?.acknowledged ?? 0) >= records
            quiet = isSettled && status?.acknowledged == last ? quiet + 1 : 0
            last = status?.acknowledged ?? -1
            if quiet == 32 { return }
            if agent?.hasEnded == true { throw Failure(description: "the agent ended by itself: \(lastWords)") }
            try await Task.sleep(for: .milliseconds(250))
        }
        print("not settled: \(status.map { "\($0)" } ?? "no status"); \(lastWords)")
    }

    /// Stops both in order.
    func stop() throws {
        guard agent?.stop(seconds: 30) == true else {
            throw Failure(description: "the agent did not stop: \(lastWords)")
        }
        try service.stop()
    }

    /// Stops both in order and holds what the service has against what was written.
    func balance(written: [(source: String, lines: Int)]) throws -> LineBalance {
        try stop()
        var balance = LineBalance(written: written)
        try service.forEachBody { balance.add($0) }
        return balance
    }
}
