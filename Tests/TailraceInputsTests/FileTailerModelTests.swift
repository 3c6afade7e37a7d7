import Glibc
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// Random writers, rotations, crashes and restarts against the one thing that must hold: every line once, in order.
@Suite struct FileTailerModelTests {
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func everyLineOnceAndInOrder(seed: UInt64) throws { try run(SeededGenerator(seed: seed)) }

    @Test func everyLineOnceAndInOrderWithAFreshSeed() throws { try run(.fresh("file tailer model")) }

    private final class Log {
        let path: String
        var expected: [String] = []
        var writer: Writer
        var rotations = 0
        var begun: String?

        init(_ path: String) {
            self.path = path
            writer = Writer(path)
        }
    }

    private func run(_ seeded: SeededGenerator) throws {
        var generator = seeded
        let directory = TemporaryDirectory()
        let sink = FakeSink(blockCapacity: 8192 + 4096, batches: 3)
        let matchesRotated = Bool.random(using: &generator)
        let inputs = [input(directory(matchesRotated ? "*.log*" : "*.log"))]
        var limits = FileTailLimits.test
        limits.finalAfter = .seconds(20)
        limits.maximumOpenFiles = Int.random(in: 2...6, using: &generator)
        limits.rescanInterval = .milliseconds(Int.random(in: 5...200, using: &generator))
        limits.usesInotify = Int.random(in: 0..<4, using: &generator) != 0
        let logs = (0..<3).map { Log(directory("log\($0).log")) }
        var running = try RunningTailer(inputs, sink, limits: limits)
        var number = 0

        func settled() -> Bool {
            let wanted = logs.reduce(0) { $0 + $1.expected.count }
            if sink.wait(until: { $0.lineCount >= wanted }) { return true }
            print(
                "not settled: \(sink.lineCount) of \(wanted) lines; \(running.tailer.files()); \(running.tailer.statistics)"
            )
            return false
        }

        // What was rotated away before the tailer knew of the log is not its business: it gets to know each log.
        func introduce(_ log: Log) throws {
            log.writer.write("hello\n")
            log.expected.append("hello")
            try #require(settled(), "seed \(seeded.seed)")
            sink.commit()
        }
        for log in logs { try introduce(log) }

        for step in 0..<250 {
            let log = logs[Int.random(in: 0..<3, using: &generator)]
            switch Int.random(in: 0..<40, using: &generator) {
            case 0..<24:
                for _ in 0..<Int.random(in: 1...30, using: &generator) {
                    number += 1
                    let padding = String(repeating: "p", count: Int.random(in: 0...100, using: &generator))
                    let line = (log.begun ?? "") + "\(number) \(padding)"
                    log.writer.write(String(line.dropFirst(log.begun?.count ?? 0)) + "\n")
                    log.begun = nil
                    log.expected.append(line)
                }
            case 24..<28:
                number += 1
                let piece = "piece \(number) "
                log.writer.write(piece)
                log.begun = (log.begun ?? "") + piece
            case 28..<34:
                nextTick(after: log.path)
                // Rename, sometimes with the last line finished only afterwards.
                let shift = log.rotations
                for index in stride(from: shift, to: 0, by: -1) {
                    rename("\(log.path).\(index)", "\(log.path).\(index + 1)")
                }
                rename(log.path, "\(log.path).1")
                log.rotations += 1
                if let begun = log.begun {
                    log.writer.write("finished\n")
                    log.expected.append(begun + "finished")
                    log.begun = nil
                }
                log.writer = Writer(log.path)
            case 34:
                // Truncate, once everything is durable.
                if let begun = log.begun {
                    log.writer.write("\n")
                    log.expected.append(begun)
                    log.begun = nil
                }
                try #require(settled(), "seed \(seeded.seed) step \(step)")
                sink.commit()
                ftruncate(log.writer.descriptor, 0)
            case 35:
                if log.begun == nil {
                    try #require(settled(), "seed \(seeded.seed) step \(step)")
                    sink.commit()
                    unlink(log.path)
                    log.writer = Writer(log.path)
                    try introduce(log)
                }
            case 36, 37:
                sink.commit()
            case 38:
                // Crash: what was not durable is gone, positions with it.
                sink.close()
                running.stop()
                sink.crash()
                running = try RunningTailer(inputs, sink, limits: limits)
            default:
                running.stop()
                running = try RunningTailer(inputs, sink, limits: limits)
            }
        }
        for log in logs where log.begun != nil {
            log.writer.write("\n")
            log.expected.append(log.begun ?? "")
        }
        _ = settled()
        running.stop()
        for log in logs {
            let got = sink.texts(log.path)
            if got != log.expected {
                let at = zip(got, log.expected).prefix { $0 == $1 }.count
                Issue.record(
                    """
                    seed \(seeded.seed) inotify \(limits.usesInotify) glob \(matchesRotated): \(log.path) differs at \(at): \
                    got \(got.count) lines \
                    \(got.dropFirst(at).prefix(3)), expected \(log.expected.count) \(log.expected.dropFirst(at).prefix(3))
                    """)
            }
        }
        #expect(Set(sink.lines.keys).isSubset(of: logs.map(\.path)), "seed \(seeded.seed)")
    }
}
