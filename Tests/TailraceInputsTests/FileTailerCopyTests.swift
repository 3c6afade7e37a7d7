import Glibc
import Logging
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// Rotations that copy and truncate, seen late or between restarts.
@Suite struct FileTailerCopyTests {
    private let directory = TemporaryDirectory()
    private let sink = FakeSink()
    private var log: String { directory("logs/a.log") }

    init() throws {
        mkdir(directory("logs"), 0o755)
        write("one\ntwo\nthree\n", to: log)
        try look(until: 3)
    }

    /// Runs a tailer until there are so many lines.
    private func look(until lines: Int) throws {
        let running = try RunningTailer([input(directory("logs/*.log"))], sink)
        #expect(sink.wait(seconds: 30) { $0.lineCount >= lines })
        // What should not come gets the time to.
        usleep(300_000)
        running.stop()
    }

    /// Writes what is in the log to a new file.
    private func copy(_ log: String? = nil, to path: String) {
        let log = log ?? self.log
        nextTick(after: log)
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let source = open(log, O_RDONLY)
        let count = read(source, &bytes, bytes.count)
        close(source)
        Writer(path).write(Array(bytes[..<count]))
        nextTick(after: path)
    }

    private func copyAndTruncate(_ log: String? = nil, to path: String) {
        copy(log, to: path)
        truncate(log ?? self.log, 0)
        nextTick(after: log ?? self.log)
    }

    @Test func aCopyIsToldAfterARestartThoughTheTruncationWasSeenBeforeIt() throws {
        write("four\nfive\n", to: log)
        copyAndTruncate(to: directory("copy"))
        write("six\n", to: log)
        try look(until: 4)
        rename(directory("copy"), directory("logs/a.log.1"))
        try look(until: 6)
        #expect(sink.texts(log) == ["one", "two", "three", "six", "four", "five"])
        // Once told, nothing of it is told again.
        try look(until: 6)
        #expect(sink.lineCount == 6)
    }

    @Test func copiesMadeOneAfterTheOtherWhileNobodyLookedAreAllRead() throws {
        write("four\n", to: log)
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        rename(log + ".1", log + ".2")
        copyAndTruncate(to: log + ".1")
        write("six\n", to: log)
        try look(until: 6)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six"])
        try look(until: 6)
        #expect(sink.lineCount == 6)
    }

    @Test func aCopyGoesBeforeWhatItsLogHadAfterItThoughThatWasRenamed() throws {
        write("four\n", to: log)
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        rename(log + ".1", log + ".2")
        rename(log, log + ".1")
        nextTick(after: log + ".1")
        write("six\n", to: log)
        try look(until: 6)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six"])
    }

    @Test func aLogThatWasReadBeyondItsCopyIsNotReadAgain() throws {
        // A first copy is known.
        copyAndTruncate(to: log + ".2")
        // Longer than what is remembered of a file's beginning.
        let four = String(repeating: "4", count: 500)
        write("\(four)\nfive\n", to: log)
        try look(until: 5)
        nextTick(after: log)
        write("\(four)\nfive\n", to: log + ".1")
        // Between the copy and the truncation.
        write("six\n", to: log)
        let running = try RunningTailer([input(directory("logs/*.log"))], sink)
        #expect(sink.wait(seconds: 30) { $0.lineCount >= 6 })
        Writer(log, truncate: true).write("seven\n")
        #expect(sink.wait(seconds: 30) { $0.lineCount >= 7 })
        usleep(300_000)
        running.stop()
        #expect(sink.texts(log) == ["one", "two", "three", four, "five", "six", "seven"])
    }

    @Test(arguments: [60, 500, 20_000]) func aCopyThatIsShorterThanWhatWasReadIsNotReadAgainAfterARestart(length: Int)
        throws
    {
        write(String(repeating: "4", count: length) + "\n", to: log)
        try look(until: 4)
        copy(to: directory("copy"))
        // Between the copy and the truncation.
        write("five\n", to: log)
        try look(until: 5)
        truncate(log, 0)
        write("six\n", to: log)
        try look(until: 6)
        rename(directory("copy"), log + ".1")
        write("seven\n", to: log)
        try look(until: 7)
        #expect(sink.texts(log).suffix(3) == ["five", "six", "seven"])
        #expect(sink.lineCount == 7)
    }

    @Test func contentThatBeginsAsTheLogDidAndIsNoCopyOfItIsRead() throws {
        let banner = (1...10).map { "# A banner that begins every log of this program, line \($0)\n" }.joined()
        write(banner + (1...50).map { "first \($0)\n" }.joined(), to: log)
        try look(until: 63)
        // Truncated without a copy, and begun with the same banner.
        truncate(log, 0)
        write(banner + (1...20).map { "second \($0)\n" }.joined(), to: log)
        copyAndTruncate(to: log + ".1")
        write("third\n", to: log)
        try look(until: 94)
        #expect(sink.texts(log).suffix(21) == ((1...20).map { "second \($0)" } + ["third"])[...])
    }

    @Test func ofSeveralCopiesMadeWhileNobodyLookedTheLastIsReadThoughTheOthersAreGone() throws {
        write("four\n", to: log)
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        unlink(log + ".1")
        copyAndTruncate(to: log + ".1")
        write("six\n", to: log)
        try look(until: 5)
        #expect(sink.texts(log) == ["one", "two", "three", "five", "six"])
        try look(until: 5)
        #expect(sink.lineCount == 5)
    }

    @Test func aCopyOfALogThatWasEmptyWhenLastSeenIsRead() throws {
        let other = directory("logs/b.log")
        write("", to: other)
        let running = try RunningTailer([input(directory("logs/*.log"))], sink)
        #expect(sink.wait { $0.positions.count == 2 })
        running.stop()
        write("four\n", to: other)
        copyAndTruncate(other, to: other + ".1")
        write("five\n", to: other)
        try look(until: 5)
        #expect(sink.texts(other) == ["four", "five"])
        try look(until: 5)
        #expect(sink.lineCount == 5)
    }

    @Test func copiesThatWereThereBeforeTheAgentAreLeftAlone() throws {
        let other = directory("logs/b.log")
        write("old\n", to: other)
        copyAndTruncate(other, to: other + ".1")
        write("four\n", to: other)
        try look(until: 4)
        copyAndTruncate(other, to: other + ".2")
        write("five\n", to: other)
        try look(until: 5)
        #expect(sink.texts(other) == ["four", "five"])
    }

    @Test func aCopyUnderANameThatNoPatternHasIsReadThoughTheLogWasNotReadToItsEnd() throws {
        let running = try RunningTailer([input(directory("logs/*.log"))], sink)
        write("four\n", to: log)
        #expect(sink.wait { $0.lineCount == 4 })
        // Nothing goes on while five is copied and truncated away.
        sink.block(true)
        write("five\n", to: log)
        #expect(sink.wait { $0.isWaiting })
        write("six\n", to: log)
        copyAndTruncate(to: log + ".1")
        write("seven\n", to: log)
        sink.block(false)
        #expect(sink.wait { $0.lineCount >= 7 })
        running.stop()
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six", "seven"])
    }

    @Test func aCopyOfALogThatGoesOnIsNotReadAgain() throws {
        let running = try RunningTailer([input(directory("logs/*.log*"))], sink)
        write("four\n", to: log)
        copy(to: log + ".1")
        // Told from a copy whose log is about to be truncated by the time that goes by.
        #expect(sink.wait { _ in running.tailer.statistics.copiesRecognised == 1 })
        write("five\n", to: log)
        #expect(sink.wait { $0.lineCount >= 5 })
        truncate(log, 0)
        write("six\n", to: log)
        #expect(sink.wait { $0.lineCount >= 6 })
        running.stop()
        try look(until: 6)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six"])
        #expect(sink.lineCount == 6)
    }

    @Test(arguments: [false, true]) func aCopyThatWasCompressedIsReadOutOfItsArchive(isRunning: Bool) throws {
        let running = isRunning ? try RunningTailer([input(directory("logs/*.log"))], sink) : nil
        if isRunning {
            write("four\n", to: log)
            #expect(sink.wait { $0.lineCount == 4 })
            sink.block(true)
            write("five\n", to: log)
            #expect(sink.wait { $0.isWaiting })
        } else {
            write("four\nfive\n", to: log)
        }
        write("six\n", to: log)
        copyAndTruncate(to: log + ".1")
        let child = try ChildProcess("/bin/gzip", [log + ".1"])
        #expect(child.wait() == .code(0))
        write("seven\n", to: log)
        sink.block(false)
        running?.stop()
        try look(until: 7)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six", "seven"])
        try look(until: 7)
        #expect(sink.lineCount == 7)
    }

    @Test func truncationsWithoutCopiesAreForgottenInTheEnd() throws {
        for round in 1...20 {
            Writer(log, truncate: true).write("round \(round)\n")
            try look(until: 3 + round)
        }
        #expect(sink.positions.count == 9)
    }

    @Test func anOldFileThatLooksLikeARotationIsLeftAlone() throws {
        write("not ours\n", to: log + ".1")
        try look(until: 3)
        write("four\n", to: log)
        copyAndTruncate(to: log + ".2")
        write("five\n", to: log)
        try look(until: 5)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five"])
    }

    @Test func aCopyMadeWhileTheLogWaitedForABatchIsReadBeforeWhatTheLogHasNow() throws {
        let running = try RunningTailer([input(directory("logs/*.log"))], sink)
        truncate(log, 0)
        // What the log was, and that it begins anew.
        #expect(sink.wait { $0.positions.count == 2 })
        sink.hold(true)
        let waits = running.tailer.statistics.waits
        write("four\n", to: log)
        #expect(sink.wait { _ in running.tailer.statistics.waits > waits + 1 })
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        sink.hold(false)
        #expect(sink.wait { $0.lineCount >= 5 })
        running.stop()
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five"])
    }

    // MARK: - Step by step

    /// What a tailer's thread owns, without the thread: events come when a test has it take them.
    private func makeEngine(_ pattern: String = "*.log", positions: [SourceKey: [UInt8]]? = nil) throws
        -> FileTailEngine
    {
        var logger = Logger(label: "tail")
        logger.logLevel = .error
        let engine = FileTailEngine(
            inputs: [input(directory("logs/\(pattern)"))], limits: .test, host: "h",
            positions: positions ?? sink.positions, sink: sink, logger: logger, shared: try FileTailShared())
        for _ in 0..<100 { step(engine) }
        return engine
    }

    private func step(_ engine: FileTailEngine) {
        engine.lookAround(FileTailEngine.monotonic())
        _ = engine.readRound()
        engine.flushPositions()
    }

    private func finish(_ engine: FileTailEngine) {
        for _ in 0..<1000 {
            step(engine)
            usleep(1000)
        }
    }

    /// Has the name looked at as after an event, before the events that are still to come.
    private func look(at name: String, _ engine: FileTailEngine) throws {
        engine.touch(try #require(engine.directories[directory("logs")]), name)
        engine.settleTouched()
    }

    @Test func aCopyThatWasRenamedBeforeItWasLookedAtIsNotTakenForTheOneThatHasItsNameNow() throws {
        let engine = try makeEngine()
        write("four\n", to: log)
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        rename(log + ".1", log + ".2")
        copyAndTruncate(to: log + ".1")
        write("six\n", to: log)
        // As after the event of the first copy's creation: by now the name is the second copy's. Then come the others.
        try look(at: "a.log.1", engine)
        finish(engine)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six"])
        #expect(sink.lineCount == 6)
    }

    @Test func aCopyIsToldThoughItsLogHasGrownPastWhatWasReadBeforeTheTruncationWasSeen() throws {
        let engine = try makeEngine("*.log*")
        copyAndTruncate(to: log + ".1")
        write("four, and more than was read of the log before\n", to: log)
        try look(at: "a.log.1", engine)
        finish(engine)
        #expect(sink.texts(log) == ["one", "two", "three", "four, and more than was read of the log before"])
        #expect(Array(sink.lines.keys) == [log])
    }

    @Test func aCopyThatHasTheNameToWhichALogWasRenamedIsNotTakenForTheLog() throws {
        let engine = try makeEngine()
        rename(log, log + ".2")
        nextTick(after: log + ".2")
        write("four\n", to: log)
        copy(to: log + ".1")
        // As after the event of a rename to the name that the copy has by now.
        engine.renamedLabels[log + ".1"] = log
        try look(at: "a.log.1", engine)
        for _ in 0..<10 { step(engine) }
        truncate(log, 0)
        write("five\n", to: log)
        finish(engine)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five"])
        #expect(Array(sink.lines.keys) == [log])
    }

    @Test func whatWasRotatedBeforeAnEmptyLogWasNotedIsReadAfterAKill() throws {
        rename(log, log + ".2")
        nextTick(after: log + ".2")
        write("four\n", to: log)
        rename(log, log + ".1")
        nextTick(after: log + ".1")
        write("", to: log)
        // The agent came to note the empty log, and not to the generation before it.
        let empty = FilePosition(
            identity: try #require(FileStatus(path: log)).identity, generation: 0, offset: 0, head: .empty,
            marker: .empty, label: log, path: log)
        var positions = sink.positions
        positions[empty.key] = empty.value
        write("five\n", to: log)
        finish(try makeEngine(positions: positions))
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five"])
    }

    @Test func aCopyThatIsRenamedBeforeItWasLookedIntoIsReadBeforeItsLog() throws {
        let engine = try makeEngine()
        Writer(log, truncate: true).write("four\n")
        for _ in 0..<10 { step(engine) }
        truncate(log, 0)
        for _ in 0..<10 { step(engine) }
        write("five\n", to: log)
        copyAndTruncate(to: log + ".1")
        write("six\n", to: log)
        // Everything was heard of but the rename, which is told of later.
        try look(at: "a.log.1", engine)
        rename(log + ".1", log + ".2")
        while let inotify = engine.inotify, inotify.read({ _ in }) {}
        engine.enqueue(try #require(engine.youngest[log]))
        for _ in 0..<10 { _ = engine.readRound() }
        try look(at: "a.log.2", engine)
        finish(engine)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six"])
    }

    /// Makes room for another rotation: `a.log.N` becomes `a.log.N+1`.
    private func shift() {
        for number in (1...9).reversed() { rename("\(log).\(number)", "\(log).\(number + 1)") }
    }

    @Test func aCopyOfALogThatNobodySawIsReadBeforeWhatThatLogHadAfterItThoughBothWereRenamed() throws {
        rename(log, log + ".1")
        nextTick(after: log + ".1")
        write("four\n", to: log)
        shift()
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        shift()
        rename(log, log + ".1")
        nextTick(after: log + ".1")
        write("six\n", to: log)
        finish(try makeEngine())
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six"])
        #expect(sink.lineCount == 6)
    }

    /// The names tell nothing then.
    @Test func aCopyWithANumberIsReadBeforeItsLogThoughThatWasRenamedWithADate() throws {
        let engine = try makeEngine()
        rename(log, log + ".1")
        nextTick(after: log + ".1")
        write("", to: log)
        for _ in 0..<10 { step(engine) }
        write("four\n", to: log)
        shift()
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        shift()
        copyAndTruncate(to: log + ".1")
        write("six\n", to: log)
        rename(log, log + "-20261121-100062")
        nextTick(after: log + "-20261121-100062")
        write("seven\n", to: log)
        finish(engine)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five", "six", "seven"])
        #expect(sink.lineCount == 7)
    }

    @Test func aCopyIsReadBeforeItsLogThoughThatIsRenamedJustWhenTheCopyIsLookedInto() throws {
        let engine = try makeEngine()
        rename(log, log + ".1")
        nextTick(after: log + ".1")
        write("", to: log)
        // The new log is known, and not open: the generation before it goes first.
        engine.lookAround(FileTailEngine.monotonic())
        write("four\n", to: log)
        shift()
        copyAndTruncate(to: log + ".1")
        write("five\n", to: log)
        shift()
        try look(at: "a.log.2", engine)
        // Of this no event was taken.
        rename(log, log + ".1")
        for _ in 0..<3 { _ = engine.readRound() }
        finish(engine)
        #expect(sink.texts(log) == ["one", "two", "three", "four", "five"])
        #expect(sink.lineCount == 5)
    }

    /// Lines of which no number is as long as a long line.
    private let many = (1...20).map { "\($0) " + String(repeating: "y", count: 500) }

    @Test(arguments: [false, true]) func aLongLineThatWasTruncatedAwayIsNotMixedWithWhatCameAfterIt(isFirst: Bool)
        throws
    {
        let engine = try makeEngine()
        let log = isFirst ? directory("logs/b.log") : log
        write(String(repeating: "x", count: 3000), to: log)
        // All of it is looked at, for a newline.
        for _ in 0..<10 { step(engine) }
        truncate(log, 0)
        write(many.joined(separator: "\n") + "\n", to: log)
        finish(engine)
        #expect(sink.texts(log) == (isFirst ? [] : ["one", "two", "three"]) + many)
    }

    @Test(arguments: [false, true]) func aLongLineThatIsTruncatedAwayWhileABatchIsWaitedForIsReadOutOfItsCopy(
        isFirst: Bool
    ) throws {
        let engine = try makeEngine()
        let log = isFirst ? directory("logs/b.log") : log
        let long = String(repeating: "x", count: 3000)
        write(long, to: log)
        for _ in 0..<10 { step(engine) }
        write("\n", to: log)
        sink.beforeNextTake {
            copyAndTruncate(log, to: log + ".1")
            write(many.joined(separator: "\n") + "\n", to: log)
        }
        finish(engine)
        #expect(sink.texts(log) == (isFirst ? [] : ["one", "two", "three"]) + [String(long.prefix(1000))] + many)
    }

    @Test func aLastLineThatGoesOnWhileABatchIsWaitedForIsNotCutThere() throws {
        let engine = try makeEngine()
        write("fo", to: log)
        for _ in 0..<10 { step(engine) }
        rename(log, log + ".1")
        sink.beforeNextTake { write("ur\n", to: log + ".1") }
        finish(engine)
        #expect(sink.texts(log) == ["one", "two", "three", "four"])
    }
}
