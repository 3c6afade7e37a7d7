import Testing

@testable import TailraceAgent

@Suite struct TopScreenTests {
    /// How an agent with one input and one output stands.
    private func report(existed: UInt64 = 0, acknowledged: UInt64 = 0, partitions: UInt64 = 2) -> StatusReport {
        var report = StatusReport()
        report.version = "1.2.3"
        report.host = "web-1"
        report.started = 1_767_225_600_000
        report.now = report.started + 10_000
        report.spool.bytes = 1 << 30
        report.spool.maximumBytes = 10 << 30
        var input = StatusReport.Input()
        (input.name, input.existed, input.spooled, input.bytes, input.files) = (
            "app", existed, existed, existed * 100, 3
        )
        report.inputs = [input]
        var output = StatusReport.Output()
        (output.name, output.state) = ("hub", "connected")
        (output.spooled, output.acknowledged, output.waiting) = (existed, acknowledged, existed - acknowledged)
        output.partitions = (0..<partitions).map {
            var partition = StatusReport.Partition()
            (partition.id, partition.lastAcknowledged) = ("\($0)", acknowledged)
            partition.acknowledgedRecords = acknowledged / partitions
            return partition
        }
        report.outputs = [output]
        return report
    }

    /// Each with the second of its sample.
    private func history(_ samples: (Int64, StatusReport)...) -> TopHistory {
        var history = TopHistory()
        for (second, report) in samples { history.add(report, instant: second * 1_000_000_000) }
        return history
    }

    @Test func ratesAreOfTheLastSecondsAndAnAgentThatStartsAnewBeginsThemAnew() {
        var history = TopHistory()
        #expect(history.rate { $0.inputs[0].existed } == nil)
        for second in 0...30 as ClosedRange<Int64> {
            let existed = second < 20 ? 0 : UInt64(second - 20) * 500
            history.add(report(existed: existed), instant: second * 1_000_000_000)
        }
        #expect(history.rate { $0.inputs[0].existed } == 500)
        var other = report(existed: 7)
        other.started += 1
        history.add(other, instant: 31_000_000_000)
        #expect(history.rate { $0.inputs[0].existed } == nil)
        other.inputs[0].existed = 9
        history.add(other, instant: 32_000_000_000)
        #expect(history.rate { $0.inputs[0].existed } == 2)
    }

    @Test func aBacklogIsForetoldToBeGoneToFillTheSpoolOrToStay() {
        let empties = history(
            (0, report(existed: 10_000)), (10, report(existed: 11_000, acknowledged: 2_000)))
        // 9,000 wait; 200 go and 100 come each second.
        #expect(empties.forecast(0) == .empty(seconds: 90))
        let fills = history((0, report(existed: 0)), (10, report(existed: 10_000)))
        guard case .full(let seconds)? = fills.forecast(0) else {
            Issue.record("\(String(describing: fills.forecast(0)))")
            return
        }
        // 9 GiB are left; 1,000 records of 126 bytes come each second.
        #expect(abs(seconds - Double(9 << 30) / 126_000) < 1)
        let stays = history(
            (0, report(existed: 1_000)), (10, report(existed: 2_000, acknowledged: 1_000)))
        #expect(stays.forecast(0) == .steady)
        let none = history((0, report()), (10, report(existed: 50, acknowledged: 50)))
        #expect(none.forecast(0) == nil)
        #expect(none.forecast(7) == nil)
    }

    @Test(arguments: [(80, 24), (40, 10), (200, 60), (1, 1), (20, 3)])
    func theScreenIsFilledAndNeverLeft(_ columns: Int, _ rows: Int) {
        let history = history(
            (0, report(partitions: 32)), (1, report(existed: 1_234_567, partitions: 32)))
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
        var now = report(existed: 25_000, acknowledged: 24_000)
        now.outputs[0].partitions[1].trouble = "throttled \u{1B}[2J by the service"
        var screen = TopScreen(columns: 80, rows: 24)
        let lines = screen.lines(history((0, report()), (10, now)))
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
        #expect(screen.lines(history((0, report()), (10, now)))[8].hasSuffix("↓ more"))
        screen.scroll = 100
        #expect(!screen.lines(history((0, report()), (10, now)))[8].hasSuffix("↓ more"))
    }

    @Test func whatIsWrongIsOnTop() {
        var now = report()
        now.spool.failure = "no space"
        now.blocked = ["spool: hangs"]
        now.inputs[0].spooled = 3
        var screen = TopScreen(columns: 80, rows: 24)
        let lines = screen.lines(history((1, now)), trouble: "no agent answers")
        #expect(
            lines[2...5] == [
                "NOT WRITING: no space", "BLOCKED spool: hangs",
                "THE BALANCE DOES NOT CLOSE: tailrace status tells where",
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
}
