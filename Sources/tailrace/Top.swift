import ArgumentParser
import Glibc
import TailraceAgent

struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows rates, backlogs and forecasts of the running agent, until q is pressed.")

    @OptionGroup var common: CommonOptions

    /// Between two questions to the agent.
    private static let interval = 1000

    func run() throws {
        let path = try ConfigurationLoader.places(ofConfigurationAt: common.config).controlSocket
        // Somebody who has no agent hears of it before the screen changes.
        var history = TopHistory()
        try Self.look(path, &history)
        guard let terminal = Terminal() else {
            throw ValidationError("top needs a terminal; elsewhere: tailrace status")
        }
        let size = terminal.size
        var screen = TopScreen(columns: size.columns, rows: size.rows)
        var trouble: String?
        var due = Self.now + Int64(Self.interval)
        while true {
            (screen.columns, screen.rows) = terminal.size
            terminal.show(screen.lines(history, trouble: trouble))
            switch terminal.key(milliseconds: Int(max(0, due - Self.now))) {
            case .quit: return
            case .up: screen.scroll -= 1
            case .down: screen.scroll += 1
            case .pageUp: screen.scroll -= screen.rows / 2
            case .pageDown: screen.scroll += screen.rows / 2
            case .resized, .other: break
            case .timeout:
                due = Self.now + Int64(Self.interval)
                do {
                    try Self.look(path, &history)
                    trouble = nil
                } catch {
                    trouble = "\(error)"
                }
            }
        }
    }

    private static func look(_ path: String, _ history: inout TopHistory) throws {
        let reply = try ControlClient.ask(ControlRequest.status(isJSON: true).line, path: path)
        guard let report = StatusReport(json: reply) else {
            throw ControlError.failed(path: path, reason: "the agent is of another version: start it anew")
        }
        history.add(report, instant: now * 1_000_000)
    }

    /// Milliseconds of a clock that never goes back.
    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
