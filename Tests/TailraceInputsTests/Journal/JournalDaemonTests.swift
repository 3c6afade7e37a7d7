import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// The input beside a real journald that writes, rotates and vacuums.
@Suite(.serialized) struct JournalDaemonTests {
    private let sink = JournalSink()

    /// What the tests themselves have logged.
    private func own(_ sink: JournalSink) -> [String] { sink.texts.filter { $0.hasPrefix("t ") } }

    private func texts(_ numbers: Range<Int>) -> [String] { numbers.map { "t \($0)" } }

    private func key(_ configuration: JournalConfiguration) -> SourceKey {
        JournalPosition.key(input: configuration.name, journal: configuration.source)
    }

    @Test func nothingIsLostOrRepeatedOverRotations() throws {
        let daemon = try JournalDaemon("SystemMaxFileSize=1M\nSystemMaxUse=400M")
        let running = try RunningJournal(daemon.configuration, sink)
        let padding = String(repeating: "x", count: 300)
        for number in 0..<3000 {
            try daemon.log([("MESSAGE", "t \(number)"), ("PADDING", "\(number) \(padding)")])
            if number % 500 == 499 { try daemon.control("--rotate") }
        }
        #expect(sink.wait { own($0).count >= 3000 })
        running.stop()
        #expect(own(sink) == texts(0..<3000))
        #expect(running.reader.statistics.missed == 0)
        #expect(running.reader.statistics.gaps == 0)
        #expect(running.reader.statistics.restarts == 0)
    }

    /// The journal is emptied under a reader that cannot go on; what is gone is counted to the entry.
    @Test func whatIsVacuumedUnreadIsCounted() throws {
        let daemon = try JournalDaemon()
        let running = try RunningJournal(daemon.configuration, sink)
        try daemon.log("t 0")
        #expect(sink.wait { own($0) == ["t 0"] })
        sink.hold(true)
        var written = 1
        for _ in 0..<5 {
            for _ in 0..<2000 {
                try daemon.log("t \(written)")
                written += 1
            }
            try daemon.control("--rotate", "--vacuum-size=1")
        }
        sink.hold(false)
        try daemon.log("t \(written)")
        written += 1
        #expect(sink.wait { own($0).last == "t \(written - 1)" })
        // It keeps up again.
        for _ in 0..<100 {
            try daemon.log("t \(written)")
            written += 1
        }
        #expect(sink.wait { own($0).last == "t \(written - 1)" })
        running.stop()
        let found = own(sink).compactMap { Int($0.dropFirst(2)) }
        #expect(found == found.sorted() && Set(found).count == found.count)
        #expect(found.count < written, "nothing was vacuumed before it was read")
        // journald's own entries count too: all numbers that did not come.
        let numbers = sink.lines.compactMap { $0.attributes["offset"].flatMap(Int.init) }
        let first = try #require(numbers.first), last = try #require(numbers.last)
        #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
        let statistics = running.reader.statistics
        #expect(Int(statistics.missed) == last - first + 1 - numbers.count)
        #expect(Int(statistics.missed) >= written - found.count)
        #expect(statistics.gaps > 0)
        #expect(statistics.restarts <= 1)
        let drops = running.reader.reports(timeoutMilliseconds: 0)["j"]?.drops
        #expect(
            drops?.first { $0.reason == "gone from the journal before they were read" }?.records == statistics.missed)
    }

    /// The same while the agent is down: the entry of the cursor is gone, and the first one after it is not left out.
    @Test func aCursorThatIsGoneGoesOnWithTheNextEntry() throws {
        let daemon = try JournalDaemon()
        let first = try RunningJournal(daemon.configuration, sink)
        try daemon.log("t 0")
        #expect(sink.wait { own($0) == ["t 0"] })
        first.stop()
        for number in 1..<50 { try daemon.log("t \(number)") }
        try daemon.control("--rotate", "--vacuum-size=1")
        for number in 50..<60 { try daemon.log("t \(number)") }
        let second = try RunningJournal(daemon.configuration, sink)
        #expect(sink.wait { own($0).last == "t 59" })
        second.stop()
        #expect(own(sink) == ["t 0"] + texts(50..<60))
        let numbers = sink.lines.compactMap { $0.attributes["offset"].flatMap(Int.init) }
        let missing = (try #require(numbers.last)) - (try #require(numbers.first)) + 1 - numbers.count
        #expect(Int(second.reader.statistics.missed) == missing && missing >= 49)
        #expect(second.reader.statistics.gaps == 1)
    }

    @Test func withFiltersWhatIsGoneIsToldAtMost() throws {
        let daemon = try JournalDaemon()
        var configuration = daemon.configuration
        configuration.matches = ["PRIORITY=3"]
        func log(_ numbers: Range<Int>) throws {
            for number in numbers { try daemon.log([("MESSAGE", "t \(number)"), ("PRIORITY", "\(3 + number % 2)")]) }
        }
        let first = try RunningJournal(configuration, sink)
        try log(0..<1)
        #expect(sink.wait { own($0) == ["t 0"] })
        first.stop()
        try log(1..<41)
        try daemon.control("--rotate", "--vacuum-size=1")
        try log(41..<51)
        let second = try RunningJournal(configuration, sink)
        #expect(sink.wait { own($0).last == "t 50" })
        second.stop()
        #expect(own(sink) == ["t 0", "t 42", "t 44", "t 46", "t 48", "t 50"])
        #expect(second.reader.statistics.missed == 0)
        #expect(second.reader.statistics.missedAtMost >= 40)
        // Told once: the place behind the gap is stored.
        let third = try RunningJournal(configuration, sink)
        try log(52..<53)
        #expect(sink.wait { own($0).last == "t 52" })
        third.stop()
        #expect(third.reader.statistics.missedAtMost == 0)
    }

    @Test func nowIsAfterTheLastEntryAndAllIsTheFirst() throws {
        let daemon = try JournalDaemon()
        for number in 0..<20 {
            try daemon.log("t \(number)")
            if number % 7 == 6 { try daemon.control("--rotate") }
        }
        try daemon.control("--sync")
        var configuration = daemon.configuration
        configuration.start = .now
        let running = try RunningJournal(configuration, sink)
        // The place is stored before anything comes: what comes while the agent is down is after it.
        #expect(sink.wait { $0.positions[key(configuration)] != nil })
        running.stop()
        #expect(own(sink) == [])
        try daemon.log("t 20")
        let second = try RunningJournal(configuration, sink)
        try daemon.log("t 21")
        #expect(sink.wait { own($0).count >= 2 })
        second.stop()
        #expect(own(sink) == texts(20..<22))
        for start in [JournalConfiguration.Start.all, .boot] {
            configuration.start = start
            let other = JournalSink()
            let running = try RunningJournal(configuration, other)
            #expect(other.wait { own($0).count >= 22 })
            running.stop()
            #expect(own(other) == texts(0..<22))
        }
    }

    @Test func anEmptyJournalIsWaitedForAndItsFirstEntryComes() throws {
        let directory = TemporaryDirectory("no-journal")
        for start in JournalConfiguration.Start.allCases {
            let files = JournalFiles()
            var configuration = files.configuration
            configuration.start = start
            let sink = JournalSink()
            // The place is stored before the reader has said anything, and without it being looked after.
            var limits = JournalLimits.test
            limits.checkInterval = .seconds(3600)
            limits.stuckAfter = .seconds(3600)
            let running = try RunningJournal(configuration, sink, limits: limits)
            #expect(sink.wait { $0.positions[key(configuration)] != nil })
            try files.add(JournalFiles.entries(0..<5))
            #expect(sink.wait(forCount: 5), "\(start)")
            running.stop()
            #expect(sink.texts == (0..<5).map { "entry \($0)" })
        }
        // A directory that comes later.
        var configuration = JournalConfiguration(name: "j")
        configuration.directory = directory("later")
        configuration.start = .all
        let running = try RunningJournal(configuration, sink)
        #expect(running.wait { $0.statistics.restarts > 1 })
        let trouble = running.reader.reports(timeoutMilliseconds: 0)["j"]?.sources.first
        #expect(trouble?.isTroubled == true)
        let files = JournalFiles()
        try files.add(JournalFiles.entries(0..<3))
        rename(files.path, directory("later"))
        #expect(sink.wait(forCount: 3))
        #expect(running.wait { $0.reports(timeoutMilliseconds: 0)["j"]?.sources.first?.isTroubled == false })
        running.stop()
    }

    /// journald limits services only, and tells what it left out with the first message that it takes again.
    @Test func journaldsSuppressedMessagesAreCounted() throws {
        let daemon = try JournalDaemon("RateLimitIntervalSec=1s\nRateLimitBurst=100")
        let service = try ServiceGroup("noisy-\(getpid()).service")
        defer { withExtendedLifetime(service) {} }
        let running = try RunningJournal(daemon.configuration, sink)
        for number in 0..<5000 { try daemon.log("t \(number)") }
        var total = 5000
        while running.reader.statistics.suppressed == 0, total < 5600 {
            try daemon.log("t \(total)")
            total += 1
            usleep(100_000)
        }
        try #require(running.reader.statistics.suppressed > 0, "journald suppressed nothing, or did not say so")
        try daemon.log("t last")
        #expect(sink.wait { own($0).contains("t last") })
        running.stop()
        let suppressed = Int(running.reader.statistics.suppressed)
        #expect(own(sink).count + suppressed == total + 1)
        let drops = running.reader.reports(timeoutMilliseconds: 0)["j"]?.drops
        #expect(drops?.contains { $0.records == UInt64(suppressed) } == true)
    }

    /// Where another syslog daemon would listen: journald sends each message there as a datagram.
    @Test func whatJournaldForwardsToSyslogArrives() throws {
        let daemon = try JournalDaemon("ForwardToSyslog=yes")
        let messages = SyslogSink()
        let running = try RunningSyslog(["unix://\(daemon.directory("socket/syslog"))"], sink: messages)
        for number in 0..<100 {
            try daemon.log([
                ("MESSAGE", "t \(number)"), ("PRIORITY", "\(number % 8)"), ("SYSLOG_FACILITY", "4"),
                ("SYSLOG_IDENTIFIER", "shop"),
            ])
            // journald does not wait for who is slow.
            #expect(messages.wait { $0.filter { $0.texts["app"] == "shop" }.count > number })
        }
        running.stop()
        let mine = messages.records.filter { $0.texts["app"] == "shop" }
        #expect(mine.map { $0.text.suffix(5).drop { $0 != "t" } } == (0..<100).map { "t \($0)" })
        #expect(mine.enumerated().allSatisfy { $1.numbers["severity"] == Int64($0 % 8) && $1.numbers["facility"] == 4 })
        #expect(mine.allSatisfy { $0.numbers["pid"] == Int64(getpid()) && $0.texts["parse_error"] == nil })
        #expect(Set(mine.map(\.context.host)) == ["agent-host"])
    }

    @Test func journaldCanBeStartedAgain() throws {
        let daemon = try JournalDaemon()
        let running = try RunningJournal(daemon.configuration, sink)
        for round in 0..<3 {
            for number in 0..<50 { try daemon.log("t \(round * 50 + number)") }
            try daemon.control("--sync")
            daemon.stop()
            try daemon.start()
        }
        try daemon.log("t 150")
        #expect(sink.wait { own($0).count >= 151 })
        running.stop()
        #expect(own(sink) == texts(0..<151))
        #expect(running.reader.statistics.missed == 0)
    }
}
