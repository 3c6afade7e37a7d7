import Testing

@testable import TailraceAgent

@Suite struct TopScreenTests {
    /// A sample of an agent with one input and one output, `seconds` after another.
    private func sample(
        seconds: Int64, existed: Int64 = 0, acknowledged: Int64 = 0, partitions: Int64 = 2
    ) -> TopSample {
        var sample = TopSample()
        sample.instant = seconds * 1_000_000_000
        sample.version = "1.2.3"
        sample.host = "web-1"
        sample.started = "2026-01-01T00:00:00.000Z"
        sample.now = "2026-01-01T00:00:10.000Z"
        sample.spoolBytes = 1 << 30
        sample.spoolMaximum = 10 << 30
        sample.inputs = [.init(name: "app", type: "file", existed: existed, bytes: existed * 100, files: 3)]
        var output = TopSample.Output(name: "hub", type: "eventhubs", state: "connected")
        output.spooled = existed
        output.acknowledged = acknowledged
        output.waiting = existed - acknowledged
        output.partitions = (0..<partitions).map {
            .init(id: "\($0)", lastAcknowledged: acknowledged, acknowledged: acknowledged / partitions)
        }
        sample.outputs = [output]
        return sample
    }

    private func history(_ samples: TopSample...) -> TopHistory {
        var history = TopHistory()
        for sample in samples { history.add(sample) }
        return history
    }

    @Test func ratesAreOfTheLastSecondsAndAnAgentThatStartsAnewBeginsThemAnew() {
        var history = TopHistory()
        #expect(history.rate { $0.inputs[0].existed } == nil)
        for second in 0...30 as ClosedRange<Int64> {
            history.add(sample(seconds: second, existed: second < 20 ? 0 : (second - 20) * 500))
        }
        #expect(history.rate { $0.inputs[0].existed } == 500)
        var other = sample(seconds: 31, existed: 7)
        other.started = "later"
        history.add(other)
        #expect(history.rate { $0.inputs[0].existed } == nil)
        other.instant += 1_000_000_000
        other.inputs[0].existed = 9
        history.add(other)
        #expect(history.rate { $0.inputs[0].existed } == 2)
    }

    @Test func aBacklogIsForetoldToBeGoneToFillTheSpoolOrToStay() {
        let empties = history(
            sample(seconds: 0, existed: 10_000), sample(seconds: 10, existed: 11_000, acknowledged: 2_000))
        // 9,000 wait; 200 go and 100 come each second.
        #expect(empties.forecast(0) == .empty(seconds: 90))
        let fills = history(sample(seconds: 0, existed: 0), sample(seconds: 10, existed: 10_000))
        guard case .full(let seconds)? = fills.forecast(0) else {
            Issue.record("\(String(describing: fills.forecast(0)))")
            return
        }
        // 9 GiB are left; 1,000 records of 126 bytes come each second.
        #expect(abs(seconds - Double(9 << 30) / 126_000) < 1)
        let stays = history(
            sample(seconds: 0, existed: 1_000), sample(seconds: 10, existed: 2_000, acknowledged: 1_000))
        #expect(stays.forecast(0) == .steady)
        let none = history(sample(seconds: 0), sample(seconds: 10, existed: 50, acknowledged: 50))
        #expect(none.forecast(0) == nil)
        #expect(none.forecast(7) == nil)
    }

    @Test(arguments: [(80, 24), (40, 10), (200, 60), (1, 1), (20, 3)])
    func theScreenIsFilledAndNeverLeft(_ columns: Int, _ rows: Int) {
        let history = history(
            sample(seconds: 0, partitions: 32), sample(seconds: 1, existed: 1_234_567, partitions: 32))
        var screen = TopScreen(columns: columns, rows: rows)
        for scroll in [0, 5, 1000, -7] {
            screen.scroll = scroll
            let lines = screen.lines(history, trouble: "gone")
            #expect(lines.count == rows)
            #expect(lines.allSatisfy { $0.count <= columns })
            #expect(screen.scroll >= 0)
        }
        let first = TopHistory()
        #expect(screen.lines(first).count == rows)
    }

    @Test func whatItTellsIsInItsPlace() {
        var now = sample(seconds: 10, existed: 25_000, acknowledged: 24_000)
        now.outputs[0].partitions[1].trouble = "throttled \u{1B}[2J by the service"
        var screen = TopScreen(columns: 80, rows: 24)
        let lines = screen.lines(history(sample(seconds: 0), now))
        #expect(lines[0] == "tailrace 1.2.3 on web-1, since 2026-01-01T00:00:00Z, now 00:00:10Z")
        #expect(lines[1] == "spool [###---------------------------] 1 GiB of 10 GiB, 10 %")
        #expect(lines.contains { $0.hasPrefix("app (file)") && $0.contains(" 2.5k ") && $0.contains(" 250k ") })
        #expect(lines.contains("OUTPUT hub (eventhubs): connected"))
        #expect(lines.contains { $0.contains("acknowledged 2.4k/s") && $0.contains("waiting 1.0k") })
        #expect(lines.contains { $0.contains("  0") && $0.contains("1.2k") && $0.hasSuffix("24000  well") })
        #expect(lines.contains { $0.hasSuffix("throttled ?[2J by the service") })
        #expect(lines[23].hasPrefix("q ends"))
        // What does not fit is below.
        screen.rows = 9
        #expect(screen.lines(history(sample(seconds: 0), now))[8].hasSuffix("↓ more"))
        screen.scroll = 100
        #expect(!screen.lines(history(sample(seconds: 0), now))[8].hasSuffix("↓ more"))
    }

    @Test func whatIsWrongIsOnTop() {
        var now = sample(seconds: 1)
        now.failure = "no space"
        now.unexplained = 3
        var screen = TopScreen(columns: 80, rows: 24)
        let lines = screen.lines(history(now), trouble: "no agent answers")
        #expect(
            lines[2...4] == [
                "NOT WRITING: no space", "THE BALANCE DOES NOT CLOSE: tailrace status tells where",
                "NO ANSWER: no agent answers",
            ])
    }

    @Test func figuresAreShort() {
        let values: [(Double?, String)] = [
            (nil, "-"), (0, "0"), (0.25, "0.3"), (1, "1"), (9.94, "9.9"), (12.4, "12"), (999.4, "999"), (999.6, "1.0k"),
            (1234, "1.2k"), (99_950, "100k"), (999_600, "1.0M"), (6_700_000_000, "6.7G"), (1e30, "lots"),
        ]
        for (value, text) in values { #expect(TopScreen.short(value) == text) }
        let periods: [(Double, String)] = [
            (0.2, "1 s"), (99, "99 s"), (180, "3 min"), (15_000, "4 h 10 min"), (183_600, "2 d 3 h"),
            (1e30, "more than a century"),
        ]
        for (seconds, text) in periods { #expect(TopScreen.period(seconds) == text) }
    }

    @Test func theAgentsJSONIsUnderstood() throws {
        var report = StatusReport()
        report.host = "h"
        report.spool.bytes = 5
        report.spool.failure = "full"
        var input = StatusReport.Input()
        input.name = "app"
        input.existed = 12
        input.acknowledged = 10
        report.inputs = [input]
        var output = StatusReport.Output()
        output.name = "hub"
        output.waiting = 4
        var partition = StatusReport.Partition()
        partition.id = "3"
        partition.lastAcknowledged = 77
        partition.acknowledgedRecords = 9
        partition.trouble = "why"
        output.partitions = [partition]
        report.outputs = [output]
        let sample = try #require(TopSample(json: report.json, instant: 1))
        #expect(sample.host == "h" && sample.spoolBytes == 5 && sample.failure == "full")
        #expect(sample.inputs[0].name == "app" && sample.inputs[0].existed == 12)
        // 2 of the input's, 4 of the output's.
        #expect(sample.unexplained == 6)
        #expect(sample.outputs[0].backlog == 4)
        #expect(
            sample.outputs[0].partitions == [
                .init(id: "3", lastAcknowledged: 77, acknowledged: 9, trouble: "why", isSlow: false)
            ])
        #expect(TopSample(json: Array("{}".utf8), instant: 0) == nil)
        #expect(TopSample(json: Array("none".utf8), instant: 0) == nil)
    }
}
