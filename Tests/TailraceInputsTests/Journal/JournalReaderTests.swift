import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// The input with a real journalctl over journal files that systemd-journal-remote wrote.
@Suite(.serialized) struct JournalReaderTests {
    private let files = JournalFiles()
    private let sink = JournalSink()

    private func texts(_ numbers: Range<Int>) -> [String] { numbers.map { "entry \($0)" } }

    @Test func everyEntryComesAndThoseThatAreWrittenMeanwhile() throws {
        try files.add(JournalFiles.entries(0..<500))
        let running = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: 500))
        try files.add(JournalFiles.entries(500..<600))
        #expect(sink.wait(forCount: 600))
        running.stop()
        #expect(sink.texts == texts(0..<600))
        #expect(Set(sink.lines.map(\.source)) == ["journal:\(files.path)"])
        #expect(Set(sink.lines.map(\.host)) == ["configured"])
        #expect(sink.lines.map { $0.attributes["offset"] } == (1...600).map { "\($0)" })
        #expect(sink.lines.first?.attributes["event_time"] == "\(JournalExport.start / 1000)")
        #expect(running.reader.statistics.missed == 0)
        #expect(running.reader.statistics.gaps == 0)
    }

    /// Where the disk may wait, entries that come by and by wait for each other.
    @Test func entriesGatherWhereTheDiskMayWait() throws {
        let patient = JournalSink(prospect: SinkProspect(syncInterval: .milliseconds(400)))
        let running = try RunningJournal(files.configuration, patient)
        #expect(running.process() != 0)
        let begin = ContinuousClock.now
        for number in 0..<30 { try files.add(JournalFiles.entry(number, "entry \(number)")) }
        #expect(patient.wait(forCount: 30))
        running.stop()
        #expect(patient.texts == texts(0..<30))
        // One that begins before the first entry, one that is not over at the end.
        #expect(patient.batches <= Int((ContinuousClock.now - begin) / .milliseconds(200)) + 2)
    }

    /// At every place that a restart can find, over several files.
    @Test func aRestartAtAnyEntryNeitherRepeatsNorSkipsOne() throws {
        let count = 60
        for file in 0..<4 {
            try files.add(JournalFiles.entries((file * 15)..<(file * 15 + 15)), to: "f\(file).journal")
        }
        let running = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: count))
        running.stop()
        let cursors = try cursors()
        #expect(cursors.count == count)
        let key = JournalPosition.key(input: "j", journal: files.configuration.source)
        for number in 0..<count {
            let position = JournalPosition(kind: .after, realtime: 0, cursor: Array(cursors[number].utf8))
            let next = JournalSink()
            next.setPosition(key, position.value)
            let resumed = try RunningJournal(files.configuration, next)
            // The last one finds nothing: it has to be as far as that, though.
            if number == count - 1 { #expect(resumed.wait { $0.statistics.bytes > 0 }) }
            #expect(next.wait { $0.count >= count - 1 - number })
            resumed.stop()
            #expect(next.texts == texts((number + 1)..<count), "after \(number)")
            #expect(resumed.reader.statistics.gaps == 0)
        }
    }

    private func cursors() throws -> [String] {
        let child = try ChildProcess("/usr/bin/journalctl", ["-o", "export", "-D", files.path, "--quiet"])
        #expect(child.wait() == .code(0))
        return child.output.split(separator: "\n").filter { $0.hasPrefix("__CURSOR=") }.map { String($0.dropFirst(9)) }
    }

    @Test func theStateOfAStoppedInputIsWhereTheNextOneBegins() throws {
        var expected = 0
        for round in 0..<8 {
            try files.add(JournalFiles.entries((round * 50)..<(round * 50 + 50)))
            let running = try RunningJournal(files.configuration, sink)
            expected += 50
            #expect(sink.wait(forCount: expected))
            running.stop()
            #expect(sink.texts == texts(0..<expected))
        }
    }

    @Test func aKilledReaderIsStartedAgainFromTheLastEntry() throws {
        try files.add(JournalFiles.entries(0..<3000))
        let running = try RunningJournal(files.configuration, sink)
        var process: Int32 = 0
        for (round, signal) in [SIGBUS, SIGKILL, SIGSEGV, SIGTERM, SIGBUS].enumerated() {
            process = running.process(other: process)
            #expect(process > 0)
            kill(process, signal)
            // While it is read, and while it is not.
            try files.add(JournalFiles.entries((3000 + round * 100)..<(3100 + round * 100)))
        }
        #expect(sink.wait(forCount: 3500))
        #expect(running.wait { $0.statistics.restarts >= 5 })
        running.stop()
        #expect(sink.texts == texts(0..<3500))
        #expect(running.reader.statistics.gaps == 0)
    }

    @Test func aStoppedReaderIsNoticedWhenTheJournalHasMore() throws {
        try files.add(JournalFiles.entries(0..<10))
        var limits = JournalLimits.test
        limits.checkInterval = .milliseconds(100)
        limits.stuckAfter = .milliseconds(300)
        let running = try RunningJournal(files.configuration, sink, limits: limits)
        #expect(sink.wait(forCount: 10))
        let process = running.process()
        kill(process, SIGSTOP)
        try files.add(JournalFiles.entries(10..<20))
        #expect(sink.wait(forCount: 20))
        #expect(running.process(other: process) != process)
        running.stop()
        #expect(sink.texts == texts(0..<20))
        #expect(running.reader.statistics.restarts == 1)
    }

    /// A silent journal is no reason to start a reader again.
    @Test func aReaderThatHasNothingToSayIsLeftAlone() throws {
        try files.add(JournalFiles.entries(0..<10))
        var limits = JournalLimits.test
        limits.checkInterval = .milliseconds(20)
        limits.stuckAfter = .milliseconds(20)
        let running = try RunningJournal(files.configuration, sink, limits: limits)
        #expect(sink.wait(forCount: 10))
        let process = running.process()
        usleep(1_000_000)
        #expect(running.process() == process)
        running.stop()
        #expect(running.reader.statistics.restarts == 0)
    }

    @Test func messagesOfEverySizeComeWhole() throws {
        let sizes = Array(1...2000) + [65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 3 << 20]
        var bytes: [UInt8] = []
        for (number, size) in sizes.enumerated() {
            bytes += JournalFiles.entry(
                number, String(repeating: Character(UnicodeScalar(97 + UInt8(number % 26))), count: size))
        }
        // Once as the default is, and once without compression.
        try files.add(bytes, options: ["--compress=yes"])
        try files.add(bytes, to: "plain.journal", options: ["--compress=no"])
        var configuration = files.configuration
        configuration.maximumLine = 1 << 20
        let running = try RunningJournal(configuration, sink)
        #expect(sink.wait(forCount: sizes.count))
        usleep(100_000)
        running.stop()
        let bodies = sink.lines.map(\.body.count)
        // The same entries in two files are entries once or twice: that is journald's to say; each is whole.
        let times = bodies.count / sizes.count
        #expect(bodies.sorted() == sizes.flatMap { Array(repeating: min($0, 1 << 20), count: times) }.sorted())
        #expect(Set(sink.lines.filter(\.isCut).compactMap { $0.attributes["truncated"] }) == ["1048577", "3145728"])
        #expect(sink.lines.allSatisfy { line in line.body.allSatisfy { $0 == line.body.first } })
    }

    @Test func binaryRepeatedAndMissingFieldsPassThrough() throws {
        var bytes = JournalFiles.entry(0, "two\nlines", fields: [("TAG", "a"), ("TAG", "b"), ("PRIORITY", "2")])
        var export = JournalExport()
        export.add("__REALTIME_TIMESTAMP", "\(JournalExport.start + 1)")
        export.add("__MONOTONIC_TIMESTAMP", "1001")
        export.add("_BOOT_ID", JournalExport.boot)
        export.add("DATA", [0, 255, 10], asBinary: true)
        export.end()
        bytes += export.bytes + JournalFiles.entry(2, "last")
        try files.add(bytes)
        var configuration = files.configuration
        configuration.fields = .all
        let running = try RunningJournal(configuration, sink)
        #expect(sink.wait(forCount: 3))
        running.stop()
        let lines = sink.lines
        #expect(lines.map(\.text) == ["two\nlines", "", "last"])
        #expect(lines[0].attributes["TAG"] != lines[0].attributes["TAG.2"])
        #expect(Set([lines[0].attributes["TAG"], lines[0].attributes["TAG.2"]]) == ["a", "b"])
        #expect(lines[0].attributes["severity"] == "2")
        #expect(lines[1].attributes["DATA.base64"] == "AP8K")
        #expect(lines[1].attributes["parse_error"] == "no MESSAGE")
    }

    @Test func entriesOfOtherHostsKeepTheirNames() throws {
        let hosts = ["machine", "web-1", "web-1", "web-2", "machine", nil]
        let bytes = hosts.enumerated().flatMap { JournalFiles.entry($0.offset, "\($0.offset)", host: $0.element) }
        try files.add(bytes)
        let running = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: hosts.count))
        running.stop()
        #expect(sink.texts == (0..<hosts.count).map { "\($0)" })
        #expect(sink.lines.map(\.host) == ["configured", "web-1", "web-1", "web-2", "configured", "configured"])
        #expect(sink.lines.map { $0.attributes["offset"] } == (1...hosts.count).map { "\($0)" })
    }

    @Test func filtersAreJournalctls() throws {
        var bytes: [UInt8] = []
        for number in 0..<40 {
            bytes += JournalFiles.entry(
                number, "entry \(number)",
                fields: [
                    ("PRIORITY", "\(number % 8)"), ("SYSLOG_IDENTIFIER", number % 2 == 0 ? "even" : "odd"),
                    ("_SYSTEMD_UNIT", "u\(number % 5).service"), ("COLOUR", number < 20 ? "red" : "blue"),
                ])
        }
        try files.add(bytes)
        func numbers(_ change: (inout JournalConfiguration) -> Void) throws -> [Int] {
            var configuration = files.configuration
            change(&configuration)
            let sink = JournalSink()
            let running = try RunningJournal(configuration, sink)
            let expected = (0..<40).filter { number in
                (configuration.units.isEmpty || configuration.units.contains("u\(number % 5).service"))
                    && (configuration.identifiers.isEmpty
                        || configuration.identifiers.contains(number % 2 == 0 ? "even" : "odd"))
                    && (configuration.priority.isEmpty || number % 8 <= 3)
                    && (configuration.matches.isEmpty || number >= 20)
            }
            #expect(sink.wait(forCount: expected.count))
            running.stop()
            #expect(sink.texts == expected.map { "entry \($0)" })
            return expected
        }
        #expect(try numbers { $0.units = ["u1.service", "u3.service"] }.count == 16)
        #expect(try numbers { $0.identifiers = ["odd"] }.count == 20)
        #expect(try numbers { $0.priority = "err" }.count == 20)
        #expect(try numbers { $0.matches = ["COLOUR=blue", "COLOUR=green"] }.count == 20)
        #expect(
            try numbers {
                $0.units = ["u4.service"]; $0.priority = "0..3"; $0.matches = ["COLOUR=blue"]
            }.count == 2)
    }

    /// With filters the entry after which to go on may not pass them: nothing may be left out for that.
    @Test func aChangedFilterLosesNothing() throws {
        let bytes = (0..<20).flatMap {
            JournalFiles.entry($0, "entry \($0)", fields: [("COLOUR", $0 < 10 ? "red" : "blue")])
        }
        try files.add(bytes)
        var configuration = files.configuration
        configuration.matches = ["COLOUR=red"]
        let first = try RunningJournal(configuration, sink)
        #expect(sink.wait(forCount: 10))
        first.stop()
        configuration.matches = ["COLOUR=blue"]
        let second = try RunningJournal(configuration, sink)
        #expect(sink.wait(forCount: 20))
        second.stop()
        #expect(sink.texts == texts(0..<20))
        #expect(second.reader.statistics.gaps == 0)
    }
}
