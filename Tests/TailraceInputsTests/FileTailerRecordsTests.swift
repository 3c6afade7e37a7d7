import Glibc
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// Records of several lines in files that grow, are rotated, and are read by an agent that is stopped.
@Suite struct FileTailerRecordsTests {
    private func indented(_ path: String, timeout: Duration = .seconds(3600)) -> FileTailConfiguration {
        var configuration = input(path)
        var rules = MultilineRules(.indent)
        rules.timeout = timeout
        configuration.multiline = rules
        return configuration
    }

    @Test func aRecordWaitsForItsLinesAndEndsWhenTheFileRests() throws {
        let directory = TemporaryDirectory()
        let path = directory("a.log")
        let sink = FakeSink()
        let running = try RunningTailer([indented(path)], sink)
        let writer = Writer(path)
        for piece in ["on", "e\n", " two", "\n three\n", "four\n", " fi"] {
            writer.write(piece)
            usleep(20_000)
        }
        #expect(sink.wait(seconds: 30) { $0.lineCount == 1 })
        // What is open stays in the file, however often it is looked at.
        writer.write("ve\n")
        usleep(200_000)
        #expect(sink.texts(path) == ["one\n two\n three"])
        running.stop()
        let patient = try RunningTailer([indented(path, timeout: .milliseconds(100))], sink)
        #expect(sink.wait(seconds: 30) { $0.lineCount == 2 })
        patient.stop()
        #expect(sink.texts(path) == ["one\n two\n three", "four\n five"])
        #expect(sink.lines[path]?.map(\.offset) == [0, 16])
    }

    @Test func aRestartInARecordDoesNotCutIt() throws {
        let directory = TemporaryDirectory()
        let path = directory("a.log")
        let sink = FakeSink()
        var expected: [String] = []
        let writer = Writer(path)
        for record in 0..<15 {
            let running = try RunningTailer([indented(path)], sink)
            writer.write("record \(record)\n line 1\n")
            #expect(sink.wait(seconds: 30) { $0.lineCount >= record })
            if record % 3 == 0 { sink.close() }
            running.stop()
            if record % 3 == 0 { sink.crash() } else { sink.commit() }
            writer.write(" line 2\n")
            expected.append("record \(record)\n line 1\n line 2")
        }
        writer.write("end\n")
        let last = try RunningTailer([indented(path)], sink)
        #expect(sink.wait(seconds: 30) { $0.lineCount == expected.count })
        last.stop()
        #expect(sink.texts(path) == expected)
    }

    @Test func aRotationEndsARecordAndNoneGoesOnInTheNextFile() throws {
        let directory = TemporaryDirectory()
        let path = directory("a.log")
        let sink = FakeSink()
        let running = try RunningTailer([indented(path)], sink)
        var expected: [String] = []
        for rotation in 0..<5 {
            // Begins as a continuation, and ends without a newline.
            write(" first \(rotation)\n second\nlast\n more\n and", to: path)
            #expect(sink.wait(seconds: 30) { $0.lineCount >= expected.count + 1 })
            nextTick(after: path)
            rename(path, directory("a.log.\(rotation)"))
            expected += [" first \(rotation)\n second", "last\n more\n and"]
        }
        write("end\n.\n", to: path)
        expected.append("end")
        #expect(sink.wait(seconds: 60) { $0.lineCount == expected.count })
        running.stop()
        #expect(sink.texts(path) == expected)
        #expect(sink.lines[path]?.filter { $0.flags == .unterminated }.count == 5)
    }

    @Test func twoFilesWrittenInTurnsKeepTheirRecordsApart() throws {
        let directory = TemporaryDirectory()
        let paths = ["a.log", "b.log"].map { directory($0) }
        let sink = FakeSink()
        let running = try RunningTailer([indented(directory("*.log"))], sink)
        let writers = paths.map { Writer($0) }
        for record in 0..<50 {
            for (index, writer) in writers.enumerated() { writer.write("\(index) \(record)\n") }
            for (index, writer) in writers.enumerated() { writer.write(" of \(index)\n") }
        }
        #expect(sink.wait(seconds: 30) { $0.lineCount == 98 })
        running.stop()
        for (index, path) in paths.enumerated() {
            #expect(sink.texts(path) == (0..<49).map { "\(index) \($0)\n of \(index)" })
        }
    }

    @Test func aRecordThatNeverEndsIsPassedOnInPieces() throws {
        let directory = TemporaryDirectory()
        let path = directory("a.log")
        let sink = FakeSink()
        var configuration = indented(path)
        configuration.multiline?.maximumLines = 100
        let running = try RunningTailer([configuration], sink)
        let writer = Writer(path)
        for line in 0..<5000 { writer.write(" \(line)\n") }
        #expect(sink.wait(seconds: 60) { $0.texts(path).joined(separator: "\n").split(separator: "\n").count == 5000 })
        running.stop()
        #expect(sink.texts(path).joined(separator: "\n") == (0..<5000).map { " \($0)" }.joined(separator: "\n"))
        #expect(sink.texts(path).count == 50)
    }

    @Test func aStreamThatKeepsWritingDoesNotHoldBackForEver() throws {
        let directory = TemporaryDirectory()
        let path = directory("c.log")
        let sink = FakeSink()
        var configuration = input(path)
        configuration.format = .cri
        var rules = MultilineRules(.indent)
        rules.timeout = .milliseconds(200)
        configuration.multiline = rules
        let running = try RunningTailer([configuration], sink)
        let writer = Writer(path)
        let time = "2026-11-21T20:59:59.123456789Z"
        // A prompt that nobody answers, while the other stream goes on.
        writer.write("\(time) stdout P password: \n")
        var line = 0
        let isPassedOn = sink.wait(seconds: 30) { sink in
            writer.write("\(time) stderr F line \(line)\n")
            line += 1
            return sink.texts(path).contains("password: ")
        }
        running.stop()
        #expect(isPassedOn)
        #expect(sink.texts(path).first == "password: ")
    }
}
