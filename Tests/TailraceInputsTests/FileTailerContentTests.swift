import Glibc
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// What stands in files beside lines: holes, byte order marks, carriage returns; and how old it is.
@Suite struct FileTailerContentTests {
    private func nuls(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    @Test func runsOfNULsBeforeALineArePassedOverAndCounted() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink(blockCapacity: 16_384)
        let writer = Writer(directory("a.log"))
        var expected: [[UInt8]] = []
        var skipped: UInt64 = 0
        for (index, count) in [64, 1, 63, 65, 5000, 40_000, 200, 100_000].enumerated() {
            let line = Array("line \(index)".utf8)
            writer.write(nuls(count) + line + [0x0A])
            expected.append(count < 64 ? nuls(count) + line : line)
            if count >= 64 { skipped += UInt64(count) }
        }
        // NULs inside a line are the line's.
        expected.append(Array("a".utf8) + nuls(100) + Array("b".utf8))
        writer.write(expected[expected.count - 1] + [0x0A])
        for _ in 0..<2 {
            let running = try RunningTailer([input(directory("a.log"), maximumLine: 4000)], sink)
            #expect(sink.wait { $0.lineCount >= expected.count })
            running.stop()
            #expect(sink.lines[directory("a.log")]?.map(\.body) == expected)
            skipped -= running.tailer.statistics.skippedNULs
            #expect(skipped == 0)
        }
    }

    /// A writer that keeps its offset over a truncation makes a hole; here it is larger than any memory.
    @Test func aHoleOf10GiBIsPassedOverAtOnce() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let descriptor = open(directory("a.log"), O_WRONLY | O_CREAT, 0o644)
        defer { close(descriptor) }
        let text = Array("before\n".utf8)
        pwrite(descriptor, text, text.count, 0)
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        let after = Array("after\n".utf8)
        pwrite(descriptor, after, after.count, 10 << 30)
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["before", "after"])
        #expect(running.tailer.statistics.skippedNULs == (10 << 30) - 7)
        #expect(running.tailer.statistics.restartedGenerations == 0)
    }

    @Test func spaceThatAWriterReservedIsReadWhenItIsFilled() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let descriptor = open(directory("a.log"), O_WRONLY | O_CREAT, 0o644)
        defer { close(descriptor) }
        ftruncate(descriptor, 4096)
        let running = try RunningTailer([input(directory("a.log"))], sink)
        var offset = 0
        for index in 0..<5 {
            let line = Array("line \(index)\n".utf8)
            pwrite(descriptor, line, line.count, off_t(offset))
            offset += line.count
            #expect(sink.wait { $0.lineCount == index + 1 })
        }
        unlink(directory("a.log"))
        #expect(sink.wait { $0.positions.isEmpty })
        running.stop()
        #expect(sink.texts(directory("a.log")) == (0..<5).map { "line \($0)" })
        #expect(running.tailer.statistics.skippedNULs == UInt64(4096 - offset))
    }

    @Test func aByteOrderMarkIsTakenFromTheBeginningOnly() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = mark + Array("one\n".utf8) + mark + Array("two\n".utf8)
        for cut in 0...text.count {
            let path = directory("\(cut).log")
            let writer = Writer(path)
            writer.write(Array(text[..<cut]))
            let running = try RunningTailer([input(path)], sink)
            #expect(sink.wait { ($0.lines[path]?.count ?? 0) == text[..<cut].count { $0 == 0x0A } })
            running.stop()
            writer.write(Array(text[cut...]))
            let again = try RunningTailer([input(path)], sink)
            #expect(sink.wait { $0.lines[path]?.count == 2 })
            again.stop()
            let lines = sink.lines[path] ?? []
            #expect(lines.map(\.body) == [Array("one".utf8), mark + Array("two".utf8)])
            #expect(lines.map(\.offset) == [3, 7])
        }
    }

    @Test func carriageReturnsGoWhenToldSo() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write(
            "one\r\n\r\r\n\n\r\na\rb\r\n" + String(repeating: "x", count: 1000) + "\r\nlast\r", to: directory("a.log"))
        var configuration = input(directory("a.log"))
        configuration.stripsCarriageReturns = true
        let running = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.lineCount == 6 })
        unlink(directory("a.log"))
        #expect(sink.wait { $0.lineCount == 7 })
        running.stop()
        // The long line had 1001 bytes with its carriage return: that is what was cut.
        let x = String(repeating: "x", count: 1000)
        #expect(sink.texts(directory("a.log")) == ["one", "\r", "", "", "a\rb", x, "last\r"])
    }

    @Test func anOldFileIsBegunAtItsEndAndFollowed() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("old\n", to: directory("old.log"))
        write("new\n", to: directory("new.log"))
        var times = [timespec(tv_sec: time(nil) - 7200, tv_nsec: 0), timespec(tv_sec: time(nil) - 7200, tv_nsec: 0)]
        utimensat(AT_FDCWD, directory("old.log"), &times, 0)
        var configuration = input(directory("*.log"))
        configuration.ignoreOlder = .seconds(3600)
        let running = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.positions.count == 2 && $0.lineCount == 1 })
        write("awake\n", to: directory("old.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        times = [timespec(tv_sec: time(nil) - 7200, tv_nsec: 0), timespec(tv_sec: time(nil) - 7200, tv_nsec: 0)]
        write("while down\n", to: directory("old.log"))
        utimensat(AT_FDCWD, directory("old.log"), &times, 0)
        let again = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.lineCount == 3 })
        again.stop()
        #expect(sink.texts(directory("old.log")) == ["awake", "while down"])
        #expect(sink.texts(directory("new.log")) == ["new"])
    }

    @Test func deletedFilesAreGivenUpWhenTheirFileSystemIsNearlyFull() throws {
        let directory = TemporaryDirectory()
        let place = try LoopFileSystem(directory, mebibytes: 40)
        let sink = FakeSink(blockCapacity: 65_536, batches: 2)
        var configuration = input(place("*.log"))
        // Two of the files below leave as much, three do not.
        configuration.deletedMinimumFree = place.free - 20_000_000
        let running = try RunningTailer([configuration], sink)
        write("small\n", to: place("0.log"))
        #expect(sink.wait { $0.lineCount == 1 })
        sink.hold(true)
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 999) + [0x0A]
        let block = Array([[UInt8]](repeating: line, count: 1000).joined())
        // Three deleted files of 8 MB: the one deleted first must go.
        var sizes: [UInt64] = []
        for index in 1...3 {
            let writer = Writer(place("\(index).log"))
            for _ in 0..<8 { writer.write(block) }
            sizes.append(8 * UInt64(block.count))
            let files = running.tailer
            #expect(sink.wait { _ in files.statistics.openFiles + Int(files.statistics.deletedGivenUp) > index })
            unlink(place("\(index).log"))
            usleep(20_000)
        }
        #expect(sink.wait { _ in running.tailer.statistics.deletedGivenUp == 1 })
        #expect(running.tailer.statistics.lostBytes <= sizes[0])
        #expect(running.tailer.statistics.lostBytes > sizes[0] - 200_000)
        #expect(sink.wait { _ in running.tailer.statistics.deletedBytes == sizes[1] + sizes[2] })
        sink.hold(false)
        #expect(
            sink.wait {
                let lines = $0.lines
                return lines[place("3.log")]?.count == 8000 && lines[place("2.log")]?.count == 8000
            })
        running.stop()
        #expect(running.tailer.statistics.deletedGivenUp == 1)
    }
}
