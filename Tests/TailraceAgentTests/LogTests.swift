import Glibc
import Logging
import Synchronization
import TailraceAgent
import Testing

@Suite struct LogTests {
    final class Lines: Sendable {
        let all = Mutex<[String]>([])
        var write: @Sendable ([UInt8]) -> Void {
            { bytes in self.all.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) } }
        }
    }

    @Test func timesAreReadBack() {
        for time in [0, 951_782_400_000 - 1, 951_782_400_000, 1_795_260_300_123, -1, -62_135_596_800_000] as [Int64] {
            #expect(Timestamp.milliseconds(Timestamp.text(milliseconds: time)) == time)
        }
        for text in [
            "", "2026-11-21T11:25:00Z", "2026-13-21T11:25:00.000Z", "2026-11-21 11:25:00.000Z",
            "+026-11-21T11:25:00.000Z",
        ] {
            #expect(Timestamp.milliseconds(text) == nil, "\(text)")
        }
    }

    @Test func timesAreWrittenAsInRFC3339() {
        #expect(Timestamp.text(milliseconds: 0) == "1970-01-01T00:00:00.000Z")
        #expect(Timestamp.text(milliseconds: 951_782_400_000 - 1) == "2000-02-28T23:59:59.999Z")
        #expect(Timestamp.text(milliseconds: 951_782_400_000) == "2000-02-29T00:00:00.000Z")
        #expect(Timestamp.text(milliseconds: 1_795_260_300_123) == "2026-11-21T11:25:00.123Z")
        #expect(Timestamp.text(milliseconds: -1) == "1969-12-31T23:59:59.999Z")
        #expect(Timestamp.text(milliseconds: .max) == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp.text(milliseconds: .min) == "0000-01-01T00:00:00.000Z")
    }

    @Test func aSiteThatRepeatsIsCutShortAndSummarised() {
        var limiter = RepetitionLimiter(burst: 3, period: 1000)
        let site = RepetitionLimiter.Site(file: "a", line: 1)
        let other = RepetitionLimiter.Site(file: "a", line: 2)
        let admitted = (0..<100).filter { limiter.admit(site, message: "m\($0)", now: 5) }
        #expect(admitted == [0, 1, 2])
        let isAdmitted = limiter.admit(other, message: "o", now: 5)
        #expect(isAdmitted)
        #expect(limiter.summaries(now: 1004).isEmpty)
        #expect(limiter.summaries(now: 1005) == [.init(message: "m3", repetitions: 97)])
        #expect(limiter.summaries(now: 5000).isEmpty)
        let isAdmittedAgain = limiter.admit(site, message: "again", now: 5000)
        #expect(isAdmittedAgain)
    }

    /// A message that comes no more does not tell by itself how often it came.
    @Test func whatWasLeftOutIsToldWhenThePeriodIsOverAndAtTheEnd() {
        var limiter = RepetitionLimiter(burst: 1, period: 1000)
        let site = RepetitionLimiter.Site(file: "a", line: 1)
        for now in 0..<5 as Range<Int64> { _ = limiter.admit(site, message: "m", now: now) }
        #expect(limiter.summaries(now: 999).isEmpty)
        #expect(limiter.summaries(now: 999, endsAll: true) == [.init(message: "m", repetitions: 4)])
        #expect(limiter.summaries(now: 5000, endsAll: true).isEmpty)
    }

    @Test func whatGivesWayIsToldToo() {
        var limiter = RepetitionLimiter(burst: 1, siteLimit: 1)
        let sites = (0..<2).map { RepetitionLimiter.Site(file: "a", line: $0) }
        for _ in 0..<3 { _ = limiter.admit(sites[0], message: "m", now: 0) }
        _ = limiter.admit(sites[1], message: "n", now: 0)
        #expect(limiter.summaries(now: 0) == [.init(message: "m", repetitions: 2)])
        #expect(limiter.summaries(now: 0, endsAll: true).isEmpty)
    }

    /// Who asks for those wants all of them.
    @Test func debugLinesAreNotLimited() {
        let lines = Lines()
        let shared = StandardErrorLog.Shared(journal: true, write: lines.write)
        let logger = Logger(label: "agent") { StandardErrorLog(label: $0, level: .debug, shared: shared) }
        for number in 0..<1_000 { logger.debug("step \(number)") }
        #expect(lines.all.withLock { $0.count } == 1_000)
        for number in 0..<1_000 { logger.info("step \(number)") }
        shared.tellRepetitions(isEnd: true)
        let told = lines.all.withLock { $0.dropFirst(1_000) }
        let repeated = told.compactMap { $0.firstMatch(of: /repeated ([0-9]+) times: agent: step/)?.1 }.compactMap {
            Int($0)
        }
        #expect(told.count < 100)
        #expect(told.count - repeated.count + repeated.reduce(0, +) == 1_000)
    }

    @Test func aMillionFailuresAreFewLines() {
        var limiter = RepetitionLimiter()
        let site = RepetitionLimiter.Site(file: "a", line: 1)
        var lines = 0
        for failure in 0..<1_000_000 as Range<Int64> {
            // One failure each 50 µs: 50 seconds.
            lines += limiter.summaries(now: failure / 20).count
            if limiter.admit(site, message: "m", now: failure / 20) { lines += 1 }
        }
        #expect(lines < 100)
    }

    @Test func sitesAreLimited() {
        var limiter = RepetitionLimiter(siteLimit: 4)
        for line in 0..<1000 as Range<UInt> {
            let isAdmitted = limiter.admit(.init(file: "a", line: line), message: "m", now: 0)
            #expect(isAdmitted)
        }
    }

    @Test func aMessageIsOneLineWhateverItHolds() {
        let lines = Lines()
        let shared = StandardErrorLog.Shared(journal: false, write: lines.write)
        let logger = Logger(label: "spool") { StandardErrorLog(label: $0, shared: shared) }
        logger.error("bad\nthing\u{1}", metadata: ["file": "/a b", "n": "5"])
        logger.debug("not shown")
        logger.info("\(String(repeating: "x", count: 100_000))")
        let written = lines.all.withLock { $0 }
        #expect(written.count == 2)
        #expect(written[0].hasSuffix("Z error spool: bad\\nthing? file=\"/a b\" n=5\n"))
        #expect(written[1].utf8.count <= StandardErrorLog.maximumLine + 8)
    }

    @Test func theJournalGetsPrioritiesAndNoTime() {
        let lines = Lines()
        let shared = StandardErrorLog.Shared(journal: true, write: lines.write)
        let logger = Logger(label: "agent") { StandardErrorLog(label: $0, shared: shared) }
        logger.info("started")
        logger.critical("stopped")
        #expect(lines.all.withLock { $0 } == ["<6>agent: started\n", "<2>agent: stopped\n"])
    }

    @Test func theJournalIsOnlyWhereStandardErrorLeadsToIt() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        var status = stat()
        #expect(fstat(ends[1], &status) == 0)
        #expect(StandardErrorLog.leadsToJournal("\(status.st_dev):\(status.st_ino)", descriptor: ends[1]))
        #expect(!StandardErrorLog.leadsToJournal("\(status.st_dev):\(status.st_ino + 1)", descriptor: ends[1]))
        #expect(!StandardErrorLog.leadsToJournal("nonsense", descriptor: ends[1]))
        #expect(!StandardErrorLog.leadsToJournal(nil, descriptor: ends[1]))
    }

    @Test func aFloodFromOneLineOfCodeIsLimited() {
        let lines = Lines()
        let shared = StandardErrorLog.Shared(journal: true, write: lines.write)
        let logger = Logger(label: "agent") { StandardErrorLog(label: $0, shared: shared) }
        for number in 0..<10_000 { logger.warning("failure \(number)") }
        #expect(lines.all.withLock { $0.count } < 100)
    }

    @Test func aLogThatNobodyReadsHoldsNothingUp() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: StandardErrorLog.maximumLine)
        var written = 0
        while StandardErrorLog.write(line, to: ends[1]) { written += 1 }
        #expect((1...64).contains(written))
        #expect(!StandardErrorLog.write(line, to: ends[1]))
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        #expect(read(ends[0], &bytes, bytes.count) == written * line.count)
        #expect(StandardErrorLog.write(line, to: ends[1]))
        let count = read(ends[0], &bytes, bytes.count)
        let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        #expect(text.contains("messages before this one were lost"))
        #expect(text.contains("\nxxxx"))
    }
}
