import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// Files that are not UTF-8: their lines arrive as UTF-8, with the offsets that they have in the file.
@Suite struct FileTailerEncodingTests {
    private let directory = TemporaryDirectory()
    private var log: String { directory("a.log") }
    private static let utf16 = [TextEncoding.utf16LittleEndian, .utf16BigEndian]

    private func encode(_ text: String, _ encoding: TextEncoding) -> [UInt8] {
        TextEncodingTests.encode(text, encoding)
    }

    private func configuration(_ encoding: TextEncoding?, maximumLine: Int = 1000) -> FileTailConfiguration {
        var configuration = input(directory("*.log"), maximumLine: maximumLine)
        configuration.encoding = encoding
        return configuration
    }

    /// Where each line begins in the file.
    private func offsets(_ lines: [String], _ encoding: TextEncoding, from start: Int) -> [UInt64] {
        var offset = start
        return lines.map { line in
            defer { offset += encode(line + "\n", encoding).count }
            return UInt64(offset)
        }
    }

    /// With characters whose halves look like newlines, and a pair of surrogates.
    private static let tricky = ["one", "", "\u{0A00}\u{010A}\u{0A0A}", "ж€😀 z", "\u{0100}\r", "last"]

    @Test(arguments: utf16) func utf16IsToldByItsMarkAndSurvivesARestartAtEveryByte(encoding: TextEncoding) throws {
        let sink = FakeSink()
        let lines = Self.tricky
        let bytes = encode("\u{FEFF}" + lines.map { $0 + "\n" }.joined(), encoding)
        for cut in 0...bytes.count {
            let path = directory("\(cut).log")
            let writer = Writer(path)
            writer.write(Array(bytes[..<cut]))
            let running = try RunningTailer([input(path)], sink)
            let whole = zip(lines, offsets(lines, encoding, from: 2)).filter {
                Int($1) + encode($0 + "\n", encoding).count <= cut
            }.count
            #expect(sink.wait { ($0.lines[path]?.count ?? 0) == whole })
            running.stop()
            writer.write(Array(bytes[cut...]))
            let again = try RunningTailer([input(path)], sink)
            #expect(sink.wait { $0.lines[path]?.count == lines.count })
            again.stop()
            #expect(sink.texts(path) == lines, "cut at \(cut)")
            #expect(sink.lines[path]?.map(\.offset) == offsets(lines, encoding, from: 2), "cut at \(cut)")
            #expect(again.tailer.statistics.restartedGenerations == 0)
        }
    }

    @Test(arguments: utf16) func writtenByteByByteEveryLineComesOnce(encoding: TextEncoding) throws {
        let sink = FakeSink()
        let lines = Self.tricky
        let writer = Writer(log)
        let running = try RunningTailer([configuration(nil)], sink)
        for byte in encode("\u{FEFF}" + lines.map { $0 + "\n" }.joined(), encoding) {
            writer.write([byte])
            usleep(300)
        }
        #expect(sink.wait { $0.lineCount == lines.count })
        #expect((running.tailer.explain(log) ?? nil)?.encoding == encoding)
        running.stop()
        #expect(sink.texts(log) == lines)
    }

    @Test(arguments: TextEncoding.allCases) func whatIsConfiguredNeedsNoMark(encoding: TextEncoding) throws {
        let sink = FakeSink(blockCapacity: 12_288, batches: 2)
        var lines = (0..<3000).map { index in "line \(index) " + String(repeating: "é", count: index % 90) }
        if encoding.unit == 2 { lines += Self.tricky }
        let bytes = encode(lines.map { $0 + "\n" }.joined(), encoding)
        let writer = Writer(log)
        let running = try RunningTailer([configuration(encoding)], sink)
        writer.write(bytes)
        #expect(sink.wait { $0.lineCount == lines.count })
        running.stop()
        #expect(sink.texts(log) == lines)
        #expect(sink.lines[log]?.map(\.offset) == offsets(lines, encoding, from: 0))
    }

    @Test(arguments: utf16) func whatStandsForNoCharacterIsReplaced(encoding: TextEncoding) throws {
        let sink = FakeSink()
        let isBig = encoding == .utf16BigEndian
        let units: [UInt16] = [0x61, 0xD800, 0x62, 0x0A, 0xDC00, 0x0A, 0xD83D, 0x0A, 0xD83D, 0xDE00, 0x0A, 0xD83D]
        let bytes = units.flatMap { isBig ? [UInt8($0 >> 8), UInt8($0 & 0xFF)] : [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        Writer(log).write(bytes + [0x41])
        let running = try RunningTailer([configuration(encoding)], sink)
        #expect(sink.wait { $0.lineCount == 4 })
        // Its end: half a pair, and half a code unit.
        unlink(log)
        #expect(sink.wait { $0.lineCount == 5 && $0.positions.isEmpty })
        running.stop()
        #expect(sink.texts(log) == ["a\u{FFFD}b", "\u{FFFD}", "\u{FFFD}", "😀", "\u{FFFD}\u{FFFD}"])
        #expect(sink.lines[log]?.map(\.offset) == [0, 8, 12, 16, 22])
        #expect(sink.lines[log]?.last?.flags == .unterminated)
    }

    @Test(arguments: [TextEncoding.latin1, .utf16LittleEndian, .utf16BigEndian])
    func linesAroundTheLimitAreCutBetweenCharacters(encoding: TextEncoding) throws {
        for (round, capacity) in [12_288, 262_144].enumerated() {
            let sink = FakeSink(blockCapacity: capacity)
            let path = directory("\(round)-\(encoding.rawValue).log")
            let writer = Writer(path)
            var configuration = configuration(encoding)
            configuration.include = input(path).include
            let running = try RunningTailer([configuration], sink)
            // é has two bytes in UTF-8: 500 of them are as long as a line may be.
            var lines: [String] = []
            for count in [499, 500, 501, 3000, 20_000, 700_000] {
                for prefix in ["", "x"] { lines.append(prefix + String(repeating: "é", count: count)) }
            }
            lines.append("end")
            // In two pieces, so that lines are seen before they are whole.
            for line in lines {
                let bytes = encode(line + "\n", encoding)
                writer.write(Array(bytes[..<(bytes.count / 2)]))
                usleep(3000)
                writer.write(Array(bytes[(bytes.count / 2)...]))
            }
            #expect(sink.wait { $0.lineCount == lines.count })
            running.stop()
            let starts = offsets(lines, encoding, from: 0)
            for (index, got) in (sink.lines[path] ?? []).enumerated() {
                let line = lines[index]
                var kept = Substring(line)
                while kept.utf8.count > 1000 { kept.removeLast(max(1, (kept.utf8.count - 1000) / 2)) }
                #expect(got.text == kept, "line \(index)")
                #expect(got.offset == starts[index])
                let isCut = line.utf8.count > 1000
                #expect(got.flags == (isCut ? .truncated : []))
                #expect(got.length == (isCut ? Int64(encode(line, encoding).count) : nil), "line \(index)")
            }
            #expect(running.tailer.statistics.truncatedLines == UInt64(lines.count { $0.utf8.count > 1000 }))
        }
    }

    @Test(arguments: utf16) func recordsOfSeveralLinesAreMadeOfConvertedLines(encoding: TextEncoding) throws {
        let sink = FakeSink()
        var configuration = configuration(nil)
        configuration.multiline = MultilineRules(.indent)
        let writer = Writer(log)
        writer.write(encode("\u{FEFF}ä\n b\n c\nd\n", encoding))
        let running = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.lineCount >= 1 })
        running.stop()
        writer.write(encode(" é\nf\n", encoding))
        let again = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.lineCount == 3 })
        again.stop()
        #expect(sink.texts(log) == ["ä\n b\n c", "d\n é", "f"])
        #expect(
            sink.lines[log]?.map(\.offset)
                == offsets(["ä\n b\n c", "d\n é", "f"], encoding, from: 2))
    }

    @Test func aContainersLinesMayBeUTF16Too() throws {
        let sink = FakeSink()
        var configuration = configuration(nil)
        configuration.format = .cri
        let lines = [
            "2026-11-21T20:59:59Z stdout F one é", "2026-11-21T20:59:59Z stdout P tw",
            "2026-11-21T20:59:59Z stdout F o",
        ]
        Writer(log).write(encode("\u{FEFF}" + lines.map { $0 + "\n" }.joined(), .utf16LittleEndian))
        let running = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        #expect(sink.texts(log) == ["one é", "two"])
        #expect(sink.lines[log]?.map(\.offset) == offsets(Array(lines[..<2]), .utf16LittleEndian, from: 2))
    }

    @Test(arguments: utf16) func holesArePassedOverInWholeCodeUnits(encoding: TextEncoding) throws {
        let sink = FakeSink()
        Writer(log).write(
            [UInt8](repeating: 0, count: 5000) + encode("\u{0100}a\n", encoding) + [UInt8](repeating: 0, count: 300_000)
                + encode("b\n", encoding))
        let running = try RunningTailer([configuration(encoding)], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        #expect(sink.texts(log) == ["\u{0100}a", "b"])
        #expect(running.tailer.statistics.skippedNULs == 305_000)
    }

    @Test(arguments: utf16) func anArchiveIsReadOnInItsEncoding(encoding: TextEncoding) throws {
        let sink = FakeSink(blockCapacity: 12_288, batches: 2)
        let lines = (0..<2000).map { "line é \($0)" } + [String(repeating: "ж", count: 60_000), "end"]
        let bytes = encode("\u{FEFF}" + lines.map { $0 + "\n" }.joined(), encoding)
        let first = encode("\u{FEFF}" + lines[..<10].map { $0 + "\n" }.joined(), encoding).count
        Writer(log).write(Array(bytes[..<first]))
        let running = try RunningTailer([configuration(nil)], sink)
        #expect(sink.wait { $0.lineCount == 10 })
        running.stop()
        Writer(log).write(Array(bytes[first...]))
        rename(log, "\(log).1")
        let child = try ChildProcess("/bin/gzip", ["\(log).1"])
        #expect(child.wait() == .code(0))
        let again = try RunningTailer([configuration(nil)], sink)
        #expect(sink.wait { $0.lineCount == lines.count })
        #expect(again.tailer.statistics.archives == 1)
        again.stop()
        var expected = lines
        expected[2000] = String(repeating: "ж", count: 500)
        #expect(sink.texts(log) == expected)
        #expect(sink.lines[log]?.map(\.offset) == offsets(lines, encoding, from: 2))
        #expect(sink.lines[log]?[2000].length == 120_000)
    }

    @Test(arguments: utf16) func aCopyIsContinuedInItsEncoding(encoding: TextEncoding) throws {
        let sink = FakeSink()
        let writer = Writer(log)
        writer.write(encode("\u{FEFF}one\ntwo\n", encoding))
        var limits = FileTailLimits.test
        limits.finalAfter = .seconds(5)
        let running = try RunningTailer([configuration(nil)], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 2 })
        running.stop()
        writer.write(encode("three\n", encoding))
        let copy = try ChildProcess("/bin/cp", [log, "\(log).1"])
        #expect(copy.wait() == .code(0))
        ftruncate(writer.descriptor, 0)
        writer.write(encode("\u{FEFF}four\n", encoding))
        let again = try RunningTailer([configuration(nil)], sink, limits: limits)
        #expect(sink.wait { $0.lineCount == 4 })
        again.stop()
        #expect(sink.texts(log) == ["one", "two", "three", "four"])
    }

    @Test(arguments: utf16) func positionsAreSetToWholeCodeUnits(encoding: TextEncoding) throws {
        let sink = FakeSink()
        Writer(log).write(encode("\u{FEFF}one\n\u{0A00}two\nthree", encoding))
        let running = try RunningTailer([configuration(nil)], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        let second = UInt64(encode("\u{FEFF}one\n", encoding).count)
        let third = UInt64(encode("\u{FEFF}one\n\u{0A00}two\n", encoding).count)
        for offset in [second - 1, second + 1, second + 2] {
            let start = offset < second ? 0 : second
            #expect(
                running.tailer.setPosition(log, to: .offset(offset))
                    == .failure(
                        PositionRefusal(
                            reason:
                                "\(log) has no line that begins at \(offset): the one there begins at \(start)")))
        }
        #expect(
            running.tailer.setPosition(log, to: .offset(second))
                == .success(PositionChange(path: log, source: log, from: third, to: second, isReadAgain: true)))
        #expect(sink.wait { $0.lineCount == 3 })
        #expect(
            running.tailer.setPosition(log, to: .end)
                == .success(PositionChange(path: log, source: log, from: third, to: third, isReadAgain: false)))
        running.stop()
        #expect(sink.texts(log) == ["one", "\u{0A00}two", "\u{0A00}two"])
    }

    @Test(arguments: utf16) func startsBehindTheLastNewlineWhenToldSo(encoding: TextEncoding) throws {
        let sink = FakeSink()
        let writer = Writer(log)
        writer.write(encode("\u{FEFF}old\n\u{0A00}pa", encoding) + [0x0A])
        var configuration = configuration(encoding)
        configuration.startAt = .end
        let running = try RunningTailer([configuration], sink)
        #expect(sink.wait { $0.positions.count == 1 })
        writer.write([0x0A] + encode("rt\n", encoding))
        #expect(sink.wait { $0.lineCount == 1 })
        running.stop()
        #expect(sink.texts(log) == ["\u{0A00}pa\u{0A0A}rt"])
    }

    /// An agent that knew no UTF-16 stands behind the first byte of a newline.
    @Test func aPositionWithinACodeUnitMovesBehindIt() throws {
        let sink = FakeSink()
        let writer = Writer(log)
        writer.write(encode("\u{FEFF}one\n", .utf16LittleEndian))
        let running = try RunningTailer([configuration(.utf8)], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        running.stop()
        writer.write(encode("two\n", .utf16LittleEndian))
        let again = try RunningTailer([configuration(nil)], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        again.stop()
        #expect(sink.texts(log).last == "two")
        #expect(sink.lines[log]?.last?.offset == 10)
    }

    @Test func aNewGenerationIsToldByItsOwnMark() throws {
        let sink = FakeSink()
        let writer = Writer(log)
        writer.write(encode("\u{FEFF}one\n", .utf16LittleEndian))
        let running = try RunningTailer([configuration(nil)], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        ftruncate(writer.descriptor, 0)
        #expect(sink.wait { _ in running.tailer.statistics.restartedGenerations == 1 })
        writer.write("two\n")
        #expect(sink.wait { $0.lineCount == 2 })
        ftruncate(writer.descriptor, 0)
        #expect(sink.wait { _ in running.tailer.statistics.restartedGenerations == 2 })
        writer.write(encode("\u{FEFF}three\n", .utf16BigEndian))
        #expect(sink.wait { $0.lineCount == 3 })
        running.stop()
        #expect(sink.texts(log) == ["one", "two", "three"])
    }
}
