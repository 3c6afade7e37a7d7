import Glibc
import TailraceAgent
import TestSupport
import Testing

/// The agent's own log, of the real program: an event that comes again and again does not fill a disk, and is still counted.
@Suite struct LogLimitTests {
    private let directory = TemporaryDirectory("log")
    private static let requests = 300

    @Test func aMessageThatRepeatsIsCutShortAndItsRepetitionsAreTold() async throws {
        let agent = try AgentProcess(
            directory,
            output:
                "connection_string = \"Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=logs\""
        )
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.number("existed", in: "inputs") == 1 }
        let clock = ContinuousClock()
        let start = clock.now
        let request = ControlRequest.setPosition(path: directory("logs/app.log"), .end)
        for _ in 0..<Self.requests {
            let reply = try ControlClient.ask(request.line, path: directory("state/control.sock"))
            #expect(
                String(decoding: reply, as: UTF8.self).hasPrefix("ok\n"), "\(String(decoding: reply, as: UTF8.self))")
        }
        let seconds = (clock.now - start).components.seconds
        // What was left out is told at the latest when it ends.
        #expect(agent.stop() == .code(0))
        let lines = agent.process.errorOutput.split(separator: "\n").filter { $0.contains("position set by request") }
        let repetitions = lines.compactMap { $0.firstMatch(of: #/repeated ([0-9]+) times: /#)?.1 }.compactMap {
            Int($0)
        }
        let written = lines.count - repetitions.count
        #expect(written + repetitions.reduce(0, +) == Self.requests)
        // Ten in each ten seconds.
        #expect(written <= 10 * (Int(seconds) / 10 + 2), "\(written) lines in \(seconds) s")
        for line in lines {
            #expect(line.firstMatch(of: /^[0-9T:.-]+Z notice (repeated|tailrace: position)/) != nil, "\(line)")
            #expect(line.contains(" path=") && line.contains(" user="), "\(line)")
        }
    }
}
