import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct FileTailerTests {
    @Test func readsWhatIsThereAndWhatComes() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("one\ntwo\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        write("three\n", to: directory("a.log"))
        write("other\n", to: directory("b.log"))
        write("none of ours\n", to: directory("b.txt"))
        #expect(sink.wait { $0.lineCount == 4 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["one", "two", "three"])
        #expect(sink.texts(directory("b.log")) == ["other"])
        #expect(sink.lines[directory("a.log")]?.map(\.offset) == [0, 4, 8])
        #expect(running.tailer.statistics.records == 4)
    }

    /// While more waits for the outputs than the spool's few files hold, what lies there is read at a pace, and none of it is lost.
    @Test func aBacklogSetsThePaceForWhatLiesThere() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        sink.prospect.backlog = 2000
        let line = String(repeating: "x", count: 999) + "\n"
        write(String(repeating: line, count: 2000), to: directory("a.log"))
        var limits = FileTailLimits.test
        limits.paceAbove = 1999
        limits.pacedRate = 4_000_000
        limits.longestPace = .seconds(1)
        let begin = ContinuousClock.now
        let running = try RunningTailer([input(directory("a.log"))], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 2000 })
        // The last round is not waited for: a round is a block of 256 KiB.
        #expect(ContinuousClock.now - begin >= .seconds((2_000_000 - 2 * 262_144) / 4_000_000.0))
        // What comes by and by comes all the same.
        write("little\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 2001 })
        running.stop()
    }

    /// Where the disk may wait, a trickle is passed on as rarely as it is synced, and its first line at once all the same.
    @Test func aTrickleGathersWhereTheDiskMayWait() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        sink.prospect.syncInterval = .milliseconds(200)
        let running = try RunningTailer([input(directory("a.log"))], sink)
        let writer = Writer(directory("a.log"))
        let begin = ContinuousClock.now
        for number in 0..<200 {
            writer.write("\(number)\n")
            usleep(1000)
        }
        #expect(sink.wait { $0.lineCount == 200 })
        running.stop()
        let rounds = Int((ContinuousClock.now - begin) / .milliseconds(100))
        // One for the first line, one for the round that is not over at the end.
        #expect(sink.batches <= rounds + 2)
    }

    /// An interval of an hour is for the disk: renames are to be seen before that.
    @Test func aTrickleGathersForNoLongerThanItsLimit() {
        #expect(SinkProspect(syncInterval: .seconds(3600)).gathering == .milliseconds(200))
        #expect(SinkProspect(syncInterval: .milliseconds(10)).gathering == .milliseconds(5))
        #expect(SinkProspect().gathering == .zero)
    }

    /// No pause is longer than its limit, whatever the pace.
    @Test func aPaceHoldsNewLinesUpNoLongerThanItsLimit() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        sink.prospect.backlog = 1
        write(String(repeating: String(repeating: "x", count: 999) + "\n", count: 1000), to: directory("a.log"))
        var limits = FileTailLimits.test
        limits.paceAbove = 0
        limits.pacedRate = 1
        limits.longestPace = .milliseconds(5)
        let running = try RunningTailer([input(directory("a.log"))], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 1000 })
        running.stop()
    }

    @Test func everyByteComesAsItIs() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let bodies: [[UInt8]] = [
            Array("cr\r".utf8), [], [0], [0, 0, 0], [0xFF, 0xFE, 0x80], Array("\r".utf8), Array("a\0b".utf8), [],
        ]
        Writer(directory("a.log")).write(bodies.flatMap { $0 + [0x0A] })
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == bodies.count })
        running.stop()
        #expect(sink.lines[directory("a.log")]?.map(\.body) == bodies)
    }

    @Test func aLineWrittenByteByByteComesOnceAndWhole() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let running = try RunningTailer([input(directory("a.log"))], sink)
        let text = "first\nsecond line\r\n\nlast\n"
        let writer = Writer(directory("a.log"))
        for byte in text.utf8 {
            writer.write([byte])
            usleep(300)
        }
        #expect(sink.wait { $0.lineCount == 4 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["first", "second line\r", "", "last"])
    }

    @Test func aPartialLineSurvivesARestartAtEveryByte() throws {
        let text = "alpha\nbe\n"
        for cut in 0...text.utf8.count {
            let directory = TemporaryDirectory()
            let sink = FakeSink()
            write(String(text.prefix(cut)), to: directory("a.log"))
            let whole = text.prefix(cut).filter { $0 == "\n" }.count
            let running = try RunningTailer([input(directory("a.log"))], sink)
            #expect(sink.wait { $0.lineCount == whole })
            running.stop()
            write(String(text.dropFirst(cut)), to: directory("a.log"))
            let again = try RunningTailer([input(directory("a.log"))], sink)
            #expect(sink.wait { $0.lineCount == 2 })
            again.stop()
            #expect(sink.texts(directory("a.log")) == ["alpha", "be"])
        }
    }

    @Test func aLineOf2MiBIsCutAndMarked() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink(blockCapacity: 1 << 20)
        var long = [UInt8](repeating: UInt8(ascii: "x"), count: 2 << 20)
        long.append(0x0A)
        let writer = Writer(directory("a.log"))
        writer.write("before\n")
        writer.write(long)
        writer.write("after\n")
        let running = try RunningTailer([input(directory("a.log"), maximumLine: 1_024_000)], sink)
        #expect(sink.wait { $0.lineCount == 3 })
        running.stop()
        let lines = sink.lines[directory("a.log")] ?? []
        #expect(lines.map(\.body.count) == [6, 1_024_000, 5])
        #expect(lines.map(\.flags) == [[], .truncated, []])
        #expect(lines[1].length == 2 << 20)
        #expect(lines[2].text == "after" && lines[2].offset == 7 + (2 << 20) + 1)
        #expect(running.tailer.statistics.truncatedLines == 1)
    }

    /// Bytes of memory that the process has touched at most, and is told to forget.
    private func peak(reset: Bool = false) -> Int {
        if reset { Writer("/proc/self/clear_refs").write("5") }
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix("VmHWM:") { return (Int(text.filter(\.isNumber)) ?? 0) << 10 }
        }
        return 0
    }

    @Test func aLineOf1GiBIsReadInBoundedMemoryAndOverARestart() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink(blockCapacity: 1 << 20, batches: 2)
        let writer = Writer(directory("a.log"))
        let piece = [UInt8](repeating: UInt8(ascii: "y"), count: 8 << 20)
        for _ in 0..<128 { writer.write(piece) }
        let before = peak(reset: true)
        let running = try RunningTailer([input(directory("a.log"), maximumLine: 100_000)], sink)
        #expect(sink.wait { _ in running.tailer.files().contains { $0.size == 1 << 30 } })
        running.stop()
        #expect(sink.lineCount == 0)
        writer.write("end\nshort\n")
        let again = try RunningTailer([input(directory("a.log"), maximumLine: 100_000)], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        again.stop()
        // Two batches, and what the process has besides: far less than the line.
        #expect(peak() - before < 64 << 20)
        let lines = sink.lines[directory("a.log")] ?? []
        #expect(lines.map(\.length) == [(1 << 30) + 3, nil])
        #expect(lines.map(\.body.count) == [100_000, 5])
        #expect(sink.maximumBatchBytes < 200_000)
    }

    @Test func linesAroundTheLimitAreCutOnlyBeyondIt() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink(blockCapacity: 16_384)
        let writer = Writer(directory("a.log"))
        let lengths = [99, 100, 101, 5000, 13_000, 0, 100, 20_000, 1]
        for length in lengths { writer.write([UInt8](repeating: UInt8(ascii: "z"), count: length) + [0x0A]) }
        let running = try RunningTailer([input(directory("a.log"), maximumLine: 100)], sink)
        #expect(sink.wait { $0.lineCount == lengths.count })
        running.stop()
        let lines = sink.lines[directory("a.log")] ?? []
        #expect(lines.map(\.body.count) == lengths.map { min($0, 100) })
        #expect(lines.map(\.length) == lengths.map { $0 > 100 ? Int64($0) : nil })
    }

    @Test func startsAtTheEndWhenToldSoAndOnlyForFilesThatWereThere() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("old\nunfini", to: directory("a.log"))
        var configuration = input(directory("*.log"))
        configuration.startAt = .end
        let running = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.positions.count == 1 })
        write("shed\nnew\n", to: directory("a.log"))
        write("whole\n", to: directory("b.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["unfinished", "new"])
        write("while down\n", to: directory("a.log"))
        let again = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.lineCount == 4 })
        again.stop()
        #expect(sink.texts(directory("a.log")).last == "while down")
    }

    @Test func newDirectoriesAreFoundDeepAndLate() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let running = try RunningTailer([input(directory("not/yet/**/*.log"))], sink)
        for (index, path) in ["not", "not/yet", "not/yet/x", "not/yet/x/y"].enumerated() {
            mkdir(directory(path), 0o755)
            if index >= 1 { write("in \(path)\n", to: directory("\(path)/a.log")) }
        }
        #expect(sink.wait { $0.lineCount == 3 })
        rename(directory("not/yet/x"), directory("not/yet/z"))
        write("moved\n", to: directory("not/yet/z/y/a.log"))
        #expect(sink.wait { $0.lineCount == 4 })
        // The directory goes and comes back.
        unlink(directory("not/yet/a.log"))
        rename(directory("not/yet"), directory("not/gone"))
        mkdir(directory("not/yet"), 0o755)
        write("again\n", to: directory("not/yet/a.log"))
        #expect(sink.wait { $0.lineCount == 5 })
        running.stop()
        #expect(sink.texts(directory("not/yet/a.log")) == ["in not/yet", "again"])
    }

    /// Between looking for a directory and watching the one above it there must be no gap.
    @Test func directoriesThatAreMadeWhileTheTailerStartsAreFound() throws {
        for round in 0..<400 {
            let directory = TemporaryDirectory()
            let sink = FakeSink()
            let running = try RunningTailer([input(directory("a/b/c/*.log"))], sink)
            // At every moment of the first walk.
            usleep(UInt32(round % 200))
            for path in ["a", "a/b", "a/b/c"] { mkdir(directory(path), 0o755) }
            write("line\n", to: directory("a/b/c/x.log"))
            try #require(sink.wait { $0.lineCount == 1 })
            running.stop()
        }
    }

    @Test func excludedFilesAreLeftOut() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("no\n", to: directory("a.log.gz"))
        write("no\n", to: directory("debug.log"))
        write("yes\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("*"), exclude: ["*.gz", directory("debug.*")])], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        write("still yes\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        #expect(Array(sink.lines.keys) == [directory("a.log")])
    }

    @Test func filesWithEqualHeadsAreDifferentFiles() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let header = String(repeating: "header line\n", count: 400)
        for index in 0..<20 { write(header + "file \(index)\n", to: directory("f\(index).log")) }
        let running = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 20 * 401 })
        running.stop()
        let again = try RunningTailer([input(directory("*.log"))], sink)
        for index in 0..<20 { write("more \(index)\n", to: directory("f\(index).log")) }
        #expect(sink.wait { $0.lineCount == 20 * 402 })
        again.stop()
        for index in 0..<20 {
            #expect(sink.texts(directory("f\(index).log")).suffix(2) == ["file \(index)", "more \(index)"])
        }
    }

    @Test func aFileThatTwoPatternsAndInputsMatchIsReadOnce() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("x\n", to: directory("a.log"))
        var other = input(directory("a*"))
        other.name = "other"
        let running = try RunningTailer([input(directory("*.log"), directory("a.*")), other], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        write("y\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        #expect(running.tailer.files().map(\.input) == ["app"])
        running.stop()
        #expect(sink.lineCount == 2)
    }

    @Test func aLinkIsFollowedToItsTargetAndWhenItIsSwitched() throws {
        let directory = TemporaryDirectory()
        mkdir(directory("logs"), 0o755)
        mkdir(directory("elsewhere"), 0o755)
        let sink = FakeSink()
        symlink(directory("elsewhere/1"), directory("logs/a.log"))
        let running = try RunningTailer([input(directory("logs/*.log"))], sink)
        write("one\n", to: directory("elsewhere/1"))
        #expect(sink.wait { $0.lineCount == 1 })
        write("two\n", to: directory("elsewhere/1"))
        #expect(sink.wait { $0.lineCount == 2 })
        write("three\n", to: directory("elsewhere/2"))
        symlink(directory("elsewhere/2"), directory("logs/new"))
        rename(directory("logs/new"), directory("logs/a.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        write("four\n", to: directory("elsewhere/2"))
        #expect(sink.wait { $0.lineCount == 4 })
        // The same file by its own name too: still one reader.
        symlink(directory("elsewhere/2"), directory("logs/b.log"))
        symlink(directory("logs/loop.log"), directory("logs/loop.log"))
        write("five\n", to: directory("elsewhere/2"))
        #expect(sink.wait { $0.lineCount == 5 })
        running.stop()
        #expect(sink.texts(directory("logs/a.log")) == ["one", "two", "three", "four", "five"])
    }

    @Test func whatIsNoFileIsRefused() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        mkfifo(directory("fifo.log"), 0o644)
        mkdir(directory("directory.log"), 0o755)
        symlink("/dev/zero", directory("zero.log"))
        write("fine\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        #expect(running.tailer.files().map(\.path) == [directory("a.log")])
        running.stop()
    }

    @Test func aFileThatCannotBeReadYetIsReadWhenItCan() throws {
        let directory = TemporaryDirectory()
        chmod(directory.path, 0o755)
        let sink = FakeSink()
        write("secret\n", to: directory("a.log"))
        chmod(directory("a.log"), 0o600)
        // Tests run as root: the tailer's thread gives up root's right to read everything.
        let running = try RunningTailer([input(directory("*.log"))], sink, prepare: giveUpRights)
        #expect(
            sink.wait { _ in
                running.tailer.files().contains {
                    if case .troubled(let why) = $0.condition { why.contains("read permission") } else { false }
                }
            })
        #expect(sink.lineCount == 0)
        chmod(directory("a.log"), 0o644)
        #expect(sink.wait { $0.lineCount == 1 })
        running.stop()
    }

    @Test func withoutInotifyDirectoriesArePolled() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        var limits = FileTailLimits.test
        limits.usesInotify = false
        let running = try RunningTailer([input(directory("**/*.log"))], sink, limits: limits)
        write("one\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 1 })
        write("two\n", to: directory("a.log"))
        rename(directory("a.log"), directory("a.log.1"))
        write("three\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["one", "two", "three"])
        #expect(running.tailer.statistics.polledDirectories == 1)
    }

    @Test func directoriesBeyondTheWatchLimitArePolled() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        for index in 0..<10 { mkdir(directory("d\(index)"), 0o755) }
        var limits = FileTailLimits.test
        limits.maximumWatches = 4
        let running = try RunningTailer([input(directory("*/*.log"))], sink, limits: limits)
        for index in 0..<10 { write("one\n", to: directory("d\(index)/a.log")) }
        #expect(sink.wait { $0.lineCount == 10 })
        for index in 0..<10 {
            write("two\n", to: directory("d\(index)/a.log"))
            rename(directory("d\(index)/a.log"), directory("d\(index)/a.log.1"))
            write("three\n", to: directory("d\(index)/a.log"))
        }
        #expect(sink.wait { $0.lineCount == 30 })
        #expect(running.tailer.statistics.polledDirectories == 7)
        running.stop()
        for index in 0..<10 { #expect(sink.texts(directory("d\(index)/a.log")) == ["one", "two", "three"]) }
    }

    @Test func whenTheQueueOfEventsOverflowsEverythingIsLookedAtAgain() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("0\n", to: directory("a.log"))
        var limits = FileTailLimits.test
        limits.rescanInterval = .seconds(600)
        let running = try RunningTailer([input(directory("*.log"))], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 1 })
        sink.block(true)
        write("1\n", to: directory("a.log"))
        #expect(sink.wait { $0.isWaiting })
        // More events than the kernel keeps (16,384 by default), then what must not be missed.
        let text = ChildProcess.text("/proc/sys/fs/inotify/max_queued_events")
        let limit = try #require(Int(text.filter(\.isNumber)))
        for index in 0...(limit / 2) {
            write("", to: directory("noise\(index % 7)"))
            unlink(directory("noise\(index % 7)"))
        }
        for index in 2...5 {
            nextTick(after: directory("a.log"))
            rename(directory("a.log"), directory("a.log.\(6 - index)"))
            write("\(index)\n", to: directory("a.log"))
        }
        write("new\n", to: directory("b.log"))
        sink.block(false)
        #expect(sink.wait { $0.lineCount == 7 })
        #expect(sink.wait { _ in running.tailer.statistics.queueOverflows > 0 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["0", "1", "2", "3", "4", "5"])
        #expect(sink.texts(directory("b.log")) == ["new"])
    }

    @Test func aThousandFilesWithFewDescriptors() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        for index in 0..<1000 { write("first of \(index)\n", to: directory("f\(index).log")) }
        var limits = FileTailLimits.test
        limits.maximumOpenFiles = 50
        let running = try RunningTailer([input(directory("*.log"))], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 1000 })
        for index in 0..<1000 { write("second of \(index)\n", to: directory("f\(index).log")) }
        #expect(sink.wait { $0.lineCount == 2000 })
        let statistics = running.tailer.statistics
        running.stop()
        #expect(statistics.openFiles <= 50 && statistics.files == 1000)
        for index in 0..<1000 {
            #expect(sink.texts(directory("f\(index).log")) == ["first of \(index)", "second of \(index)"])
        }
    }

    @Test func aLargeBacklogDoesNotHoldUpASmallFile() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink(blockCapacity: 65_536)
        let block = [UInt8](Array(repeating: Array("0123456789abcde\n".utf8), count: 65_536).joined())
        let writer = Writer(directory("big.log"))
        for _ in 0..<8 { writer.write(block) }
        let small = directory("small.log")
        write("small\n", to: small)
        let running = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lines[small] != nil })
        #expect(sink.lineCount < 8 * 65_536)
        running.stop()
    }

    @Test func whileTheSinkHoldsUsBackRotatedFilesAreHeldOpen() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("0\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        sink.hold(true)
        for index in 1...5 {
            write("\(index)\n", to: directory("a.log"))
            let files = running.tailer
            #expect(sink.wait { _ in files.files().contains { $0.path == directory("a.log") } })
            #expect(sink.wait { _ in files.statistics.openFiles >= index })
            unlink(directory("a.log"))
        }
        sink.hold(false)
        #expect(sink.wait { $0.lineCount == 6 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["0", "1", "2", "3", "4", "5"])
    }
}
