import Glibc
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

@Suite struct FileTailerRotationTests {
    @Test func aRenamedFileIsReadToItsEndAndTheNewOneFollows() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let running = try RunningTailer([input(directory("a.log"))], sink)
        var expected: [String] = []
        for rotation in 0..<20 {
            for line in 0..<50 {
                write("\(rotation) \(line)\n", to: directory("a.log"))
                expected.append("\(rotation) \(line)")
            }
            if rotation == 0 { #expect(sink.wait { $0.lineCount > 0 }) }
            nextTick(after: directory("a.log"))
            for index in (0..<rotation).reversed() {
                rename(directory("a.log.\(index + 1)"), directory("a.log.\(index + 2)"))
            }
            rename(directory("a.log"), directory("a.log.1"))
        }
        #expect(sink.wait { $0.lineCount == expected.count })
        running.stop()
        #expect(sink.texts(directory("a.log")) == expected)
    }

    @Test func rotatedNamesThatMatchAreNotReadAgain() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        var running = try RunningTailer([input(directory("a.log*"))], sink)
        var expected: [String] = []
        for rotation in 0..<10 {
            for line in 0..<20 {
                write("\(rotation) \(line)\n", to: directory("a.log"))
                expected.append("\(rotation) \(line)")
            }
            if rotation == 0 { #expect(sink.wait { $0.lineCount > 0 }) }
            nextTick(after: directory("a.log"))
            for index in (0..<rotation).reversed() {
                rename(directory("a.log.\(index + 1)"), directory("a.log.\(index + 2)"))
            }
            rename(directory("a.log"), directory("a.log.1"))
            if rotation % 3 == 2 {
                running.stop()
                running = try RunningTailer([input(directory("a.log*"))], sink)
            }
        }
        #expect(sink.wait { $0.lineCount == expected.count })
        running.stop()
        let again = try RunningTailer([input(directory("a.log*"))], sink)
        write("last\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount >= expected.count + 1 })
        again.stop()
        #expect(sink.lines.values.joined().map(\.text).sorted() == (expected + ["last"]).sorted())
    }

    @Test func whatWasRotatedWhileDownIsFinishedFirst() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("1\n2\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        write("3\n", to: directory("a.log"))
        rename(directory("a.log"), directory("a.log.1"))
        nextTick(after: directory("a.log.1"))
        // A whole generation that we never saw.
        write("4\n5\n", to: directory("a.log"))
        rename(directory("a.log.1"), directory("a.log.2"))
        rename(directory("a.log"), directory("a.log.1"))
        nextTick(after: directory("a.log.1"))
        write("6\n", to: directory("a.log"))
        let again = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 6 })
        again.stop()
        #expect(sink.texts(directory("a.log")) == ["1", "2", "3", "4", "5", "6"])
    }

    @Test func olderRotationsThanWeEverSawAreLeftAlone() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("ancient\n", to: directory("a.log.1"))
        nextTick(after: directory("a.log.1"))
        write("1\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        rename(directory("a.log.1"), directory("a.log.2"))
        rename(directory("a.log"), directory("a.log.1"))
        write("2\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        let again = try RunningTailer([input(directory("a.log"))], sink)
        write("3\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        again.stop()
        #expect(sink.texts(directory("a.log")) == ["1", "2", "3"])
    }

    @Test func aWriterThatStillHasTheOldFileIsFollowed() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let old = Writer(directory("a.log"))
        old.write("1\n")
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        rename(directory("a.log"), directory("a.log.1"))
        let new = Writer(directory("a.log"))
        old.write("2\n")
        #expect(sink.wait { $0.lineCount == 2 })
        old.write("3\n")
        new.write("4\n")
        #expect(sink.wait { $0.lineCount == 4 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["1", "2", "3", "4"])
    }

    @Test func theLastLineOfARotatedFileNeedsNoNewline() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("1\nlast", to: directory("a.log"))
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        rename(directory("a.log"), directory("a.log.1"))
        write("2\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        running.stop()
        let lines = sink.lines[directory("a.log")] ?? []
        #expect(lines.map(\.text) == ["1", "last", "2"])
        #expect(lines.map(\.flags) == [[], .unterminated, []])
    }

    @Test func theLastLineOfAnUnlinkedFileNeedsNoNewline() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("1\n" + String(repeating: "x", count: 2000), to: directory("a.log"))
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        unlink(directory("a.log"))
        #expect(sink.wait { $0.lineCount == 2 && $0.positions.isEmpty })
        running.stop()
        let last = sink.lines[directory("a.log")]?.last
        #expect(last?.flags == [.unterminated, .truncated] && last?.length == 2000)
    }

    @Test func deletedAndCreatedAgainManyTimes() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let running = try RunningTailer([input(directory("a.log"))], sink)
        for index in 0..<100 {
            write("\(index)\n", to: directory("a.log"))
            if index % 10 == 0 { #expect(sink.wait { $0.texts(directory("a.log")).contains("\(index)") }) }
            if index < 99 { unlink(directory("a.log")) }
        }
        #expect(sink.wait { $0.texts(directory("a.log")).last == "99" })
        running.stop()
        let numbers = sink.texts(directory("a.log")).compactMap { Int($0) }
        #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
    }

    @Test func anInodeThatIsUsedAgainIsANewFile() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        // Deleted and made again while nobody looks, shorter, as long, and longer, until the inode comes back.
        var repeats = 0
        var expected = 0
        for round in 0..<30 {
            let size = [3, 8, 20][round % 3]
            let text = String(repeating: "\(round % 10)", count: size - 1) + "\n"
            write(text, to: directory("a.log"))
            var before = stat()
            stat(directory("a.log"), &before)
            let running = try RunningTailer([input(directory("a.log"))], sink)
            expected += 1
            #expect(sink.wait { $0.lineCount == expected })
            running.stop()
            unlink(directory("a.log"))
            write("new \(round)\n", to: directory("a.log"))
            var after = stat()
            stat(directory("a.log"), &after)
            if before.st_ino == after.st_ino { repeats += 1 }
            let again = try RunningTailer([input(directory("a.log"))], sink)
            expected += 1
            #expect(sink.wait { $0.lineCount == expected })
            again.stop()
            unlink(directory("a.log"))
        }
        #expect(sink.lineCount == 60)
        print("inode repeated \(repeats) times")
    }

    @Test(arguments: [2, 4, 9]) func aTruncatedFileBeginsAnew(lines: Int) throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        // Four lines, then as many bytes or fewer or more in one write after a truncation.
        write("aaaa1\naaaa2\naaaa3\naaaa4\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 4 })
        Writer(directory("a.log"), truncate: true).write((1...lines).map { "bbbb\($0)\n" }.joined())
        #expect(sink.wait { $0.lineCount == 4 + lines })
        running.stop()
        #expect(sink.texts(directory("a.log")).suffix(lines) == (1...lines).map { "bbbb\($0)" }[...])
        #expect(running.tailer.statistics.restartedGenerations == 1)
        // And the same while we are down.
        Writer(directory("a.log"), truncate: true).write((1...lines).map { "cccc\($0)\n" }.joined())
        let again = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.lineCount == 4 + 2 * lines })
        again.stop()
        // What was truncated away stays known until a copy of it turns up.
        let generations = sink.positions.compactMap { StoredFilePosition(source: $0, value: $1)?.generation }
        #expect(generations.sorted() == [0, 1, 2])
    }

    @Test(arguments: [true, false]) func aCopyMadeByARotationIsNotReadAgain(matches: Bool) throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        let patterns = input(directory(matches ? "a.log*" : "a.log"))
        var running = try RunningTailer([patterns], sink)
        var expected: [String] = []
        for rotation in 0..<6 {
            let log = Writer(directory("a.log"))
            for line in 0..<50 {
                log.write("\(rotation) \(line)\n")
                expected.append("\(rotation) \(line)")
            }
            #expect(sink.wait { $0.lineCount == expected.count })
            if rotation % 2 == 1 {
                running.stop()
                // Lines that only the copy will have: whoever takes copies in finds them there.
                log.write("late \(rotation)\n")
                expected.append("late \(rotation)")
            }
            copy(directory("a.log"), directory("a.log.\(rotation)"))
            truncate(directory("a.log"), 0)
            if rotation % 2 == 1 { running = try RunningTailer([patterns], sink) }
        }
        let log = Writer(directory("a.log"))
        log.write("end\n")
        expected.append("end")
        #expect(sink.wait { $0.lineCount == expected.count })
        running.stop()
        #expect(sink.texts(directory("a.log")) == expected)
        #expect(Array(sink.lines.keys) == [directory("a.log")])
    }

    private func copy(_ from: String, _ to: String) {
        let source = open(from, O_RDONLY)
        let target = Writer(to)
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count <= 0 { break }
            target.write(Array(buffer[..<count]))
        }
        close(source)
    }

    @Test func aFileThatIsGoneIsForgottenAfterItsTime() throws {
        let directory = TemporaryDirectory()
        let sink = FakeSink()
        write("1\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("a.log"))], sink)
        #expect(sink.wait { $0.positions.count == 1 })
        running.stop()
        unlink(directory("a.log"))
        let kept = try RunningTailer([input(directory("*.log"))], sink)
        write("2\n", to: directory("b.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        kept.stop()
        #expect(sink.positions.count == 2)
        var limits = FileTailLimits.test
        limits.forgetAfter = .milliseconds(10)
        limits.rescanInterval = .milliseconds(20)
        let forgetting = try RunningTailer([input(directory("*.log"))], sink, limits: limits)
        #expect(sink.wait { $0.positions.count == 1 })
        forgetting.stop()
    }
}
