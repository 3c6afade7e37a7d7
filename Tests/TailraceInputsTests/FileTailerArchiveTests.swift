import Glibc
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// Logs that were rotated and compressed, by the real gzip, before they were read to their end.
@Suite struct FileTailerArchiveTests {
    private let directory = TemporaryDirectory()
    private var log: String { directory("a.log") }

    private func gzip(_ path: String) throws {
        let child = try ChildProcess("/bin/gzip", [path])
        guard child.wait() == .code(0) else { throw ChildProcess.Failure("gzip: \(child.errorOutput)") }
    }

    /// As `logrotate` does it, with `compress` and without `delaycompress`.
    private func rotate(_ count: Int) throws {
        for index in stride(from: count, to: 0, by: -1) {
            rename("\(log).\(index).gz", "\(log).\(index + 1).gz")
        }
        rename(log, "\(log).1")
        try gzip("\(log).1")
    }

    private func lines(_ range: ClosedRange<Int>) -> [String] { range.map { "line \($0) of the log" } }
    private func append(_ range: ClosedRange<Int>) { write(lines(range).map { $0 + "\n" }.joined(), to: log) }

    @Test(arguments: ["a.log", "a.log*"]) func theRestIsReadOutOfTheArchive(pattern: String) throws {
        let sink = FakeSink(blockCapacity: 16_384)
        let patterns = input(directory(pattern))
        append(1...10)
        let running = try RunningTailer([patterns], sink)
        #expect(sink.wait { $0.lineCount == 10 })
        running.stop()
        append(11...5000)
        try rotate(0)
        append(5001...5010)
        let again = try RunningTailer([patterns], sink)
        #expect(sink.wait { $0.lineCount >= 5010 })
        #expect(again.tailer.statistics.archives == 1)
        again.stop()
        // Not a second time, and not the archive's bytes.
        append(5011...5011)
        let third = try RunningTailer([patterns], sink)
        #expect(sink.wait { $0.lineCount >= 5011 })
        third.stop()
        #expect(sink.texts(log) == lines(1...5011))
        #expect(Array(sink.lines.keys) == [log])
        #expect(third.tailer.statistics.archives == 0)
    }

    @Test func readingAnArchiveIsResumedInside() throws {
        let sink = FakeSink(blockCapacity: 8192, batches: 2)
        append(1...3)
        var running = try RunningTailer([input(log)], sink)
        #expect(sink.wait { $0.lineCount == 3 })
        running.stop()
        append(4...6000)
        try rotate(0)
        append(6001...6003)
        var seen = 3
        var stops = 0
        while seen < 6003, stops < 500 {
            running = try RunningTailer([input(log)], sink)
            _ = sink.wait { $0.lineCount > seen }
            running.stop()
            seen = sink.lineCount
            stops += 1
        }
        #expect(stops > 1)
        #expect(sink.texts(log) == lines(1...6003))
    }

    @Test func generationsThatNobodySawAreReadOutOfTheirArchives() throws {
        let sink = FakeSink()
        // One from before we knew the log.
        append(1...1)
        try rotate(0)
        nextTick(after: "\(log).1.gz")
        append(2...5)
        let running = try RunningTailer([input(log)], sink)
        #expect(sink.wait { $0.lineCount == 4 })
        running.stop()
        append(6...9)
        for generation in 1...3 {
            nextTick(after: log)
            try rotate(generation)
            nextTick(after: "\(log).1.gz")
            append((generation * 10)...(generation * 10 + 9))
        }
        for _ in 0..<2 {
            let again = try RunningTailer([input(log)], sink)
            #expect(sink.wait { $0.lineCount >= 38 })
            again.stop()
        }
        #expect(sink.texts(log) == lines(2...39))
    }

    @Test func whatWasReadBeforeItWasCompressedIsNotReadAgainThoughAnOlderArchiveIsFound() throws {
        let sink = FakeSink()
        let patterns = input(log)
        append(1...10)
        var running = try RunningTailer([patterns], sink)
        #expect(sink.wait { $0.lineCount == 10 })
        running.stop()
        // The first generation cannot be found for a while.
        rename(log, directory("first"))
        nextTick(after: directory("first"))
        append(11...20)
        var limits = FileTailLimits.test
        limits.finalAfter = .seconds(2)
        running = try RunningTailer([patterns], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 20 })
        // The second one is read, and compressed while it is open.
        try rotate(0)
        nextTick(after: "\(log).1.gz")
        append(21...30)
        #expect(sink.wait { _ in running.tailer.statistics.openFiles == 1 && sink.lineCount == 30 })
        running.stop()
        rename(directory("first"), "\(log).2")
        try gzip("\(log).2")
        append(31...31)
        for _ in 0..<2 {
            running = try RunningTailer([patterns], sink)
            #expect(sink.wait { $0.lineCount >= 31 })
            #expect(sink.wait { _ in running.tailer.statistics.openFiles == 1 })
            running.stop()
        }
        #expect(sink.texts(log) == lines(1...31))
    }

    @Test func archivesThatOnlyBeginAsTheLogDidAreToldApart() throws {
        let sink = FakeSink()
        let banner = (1...20).map { "# A banner that begins every log of this program, line \($0)" }
        func begin(_ first: Int, _ last: Int) {
            write((banner + lines(first...last)).map { $0 + "\n" }.joined(), to: log)
        }
        begin(1, 3)
        var running = try RunningTailer([input(log)], sink)
        #expect(sink.wait { $0.lineCount == 23 })
        running.stop()
        append(4...6)
        for generation in 1...2 {
            nextTick(after: log)
            try rotate(generation)
            nextTick(after: "\(log).1.gz")
            begin(generation * 10, generation * 10 + 9)
        }
        for _ in 0..<2 {
            running = try RunningTailer([input(log)], sink)
            #expect(sink.wait { $0.lineCount >= 86 })
            running.stop()
        }
        #expect(sink.texts(log) == banner + lines(1...6) + banner + lines(10...19) + banner + lines(20...29))
    }

    @Test func anArchiveThatIsStillWrittenIsWaitedFor() throws {
        let sink = FakeSink()
        append(1...100)
        let running = try RunningTailer([input(log)], sink)
        #expect(sink.wait { $0.lineCount == 100 })
        running.stop()
        append(101...20_000)
        try rotate(0)
        let bytes = ChildProcess.bytes("\(log).1.gz")
        append(20_001...20_001)
        unlink("\(log).1.gz")
        let archive = Writer("\(log).1.gz")
        let again = try RunningTailer([input(log)], sink)
        for start in stride(from: 0, to: bytes.count, by: bytes.count / 7) {
            archive.write(Array(bytes[start..<min(bytes.count, start + bytes.count / 7)]))
            usleep(30_000)
        }
        #expect(sink.wait { $0.lineCount >= 20_001 })
        again.stop()
        // The log itself waits only for what is told to be its archive: the first bytes decide that.
        #expect(sink.texts(log).sorted() == lines(1...20_001).sorted())
    }

    @Test func compressedFilesOfOthersAreLeftAlone() throws {
        let sink = FakeSink()
        for name in ["a.log.1", "b.log", "c.log-20260101"] {
            write("old content of \(name)\n", to: directory(name))
            try gzip(directory(name))
        }
        for name in ["a.log.2.xz", "a.log.3.zst", "d.bz2"] { write("compressed, in a way\n", to: directory(name)) }
        append(1...1)
        for count in 1...2 {
            let running = try RunningTailer([input(directory("*"))], sink)
            #expect(sink.wait { $0.lineCount == count })
            running.stop()
            append((count + 1)...(count + 1))
        }
        #expect(Array(sink.lines.keys) == [log])
    }

    @Test func longLinesAndALastOneWithoutNewlineComeOutOfAnArchiveToo() throws {
        let sink = FakeSink(blockCapacity: 16_384)
        append(1...1)
        let running = try RunningTailer([input(log)], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        running.stop()
        let lengths = [0, 999, 1000, 1001, 50_000, 3, 2_000_000]
        let writer = Writer(log)
        for length in lengths { writer.write([UInt8](repeating: UInt8(ascii: "x"), count: length) + [0x0A]) }
        writer.write("the end")
        try rotate(0)
        let again = try RunningTailer([input(log)], sink)
        #expect(sink.wait { $0.lineCount == 2 + lengths.count && $0.positions.isEmpty })
        again.stop()
        let found = Array((sink.lines[log] ?? []).dropFirst())
        #expect(found.map(\.body.count) == lengths.map { min($0, 1000) } + [7])
        #expect(found.map(\.length) == lengths.map { $0 > 1000 ? Int64($0) : nil } + [nil])
        #expect(found.last?.flags == .unterminated)
        #expect(sink.positions.isEmpty)
    }

    @Test func damagedArchivesAreToldAndEndNothing() throws {
        for (seed, generator) in [(1, SeededGenerator(seed: 1)), (2, .fresh("archives"))] {
            var generator = generator
            for round in 0..<6 {
                let directory = TemporaryDirectory()
                let path = directory("a.log")
                let sink = FakeSink()
                write(lines(1...50).map { $0 + "\n" }.joined(), to: path)
                let running = try RunningTailer([input(path)], sink)
                #expect(sink.wait { $0.lineCount == 50 })
                running.stop()
                write(lines(51...3000).map { $0 + "\n" }.joined(), to: path)
                rename(path, path + ".1")
                try gzip(path + ".1")
                let bytes = generator.mutate(ChildProcess.bytes(path + ".1.gz"))
                unlink(path + ".1.gz")
                Writer(path + ".1.gz").write(bytes)
                write("after\n", to: path)
                let again = try RunningTailer([input(path)], sink)
                #expect(sink.wait { $0.texts(path).last == "after" }, "\(seed) \(round) \(generator.seed)")
                again.stop()
            }
        }
    }
}
