import Glibc
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct MetricsTests {
    private func metrics(_ report: StatusReport) -> String {
        String(decoding: report.metrics(ProcessUsage()), as: UTF8.self)
    }

    @Test func theNumbersAreInPrometheusFormat() {
        var report = OperationsTests.report
        report.inputs[0].events = [.init("copies recognised", 2), .init("skipped NUL bytes", 0)]
        report.inputs[0].levels = [.init("polled directories", 3)]
        report.configuration.loaded = 1500
        let text = metrics(report)
        #expect(text.contains("# TYPE tailrace_tail_copies_recognised_total counter\n"))
        #expect(text.contains("\ntailrace_tail_copies_recognised_total 2\n"))
        #expect(text.contains("\ntailrace_tail_skipped_nul_bytes_total 0\n"))
        #expect(text.contains("# TYPE tailrace_tail_polled_directories gauge\ntailrace_tail_polled_directories 3\n"))
        #expect(report.text.contains("\n        copies recognised: 2, polled directories: 3\n"))
        #expect(
            String(decoding: report.json, as: UTF8.self).contains(
                "\"events\":[{\"name\":\"copies recognised\",\"value\":2},{\"name\":\"skipped NUL bytes\",\"value\":0}],"
                    + "\"levels\":[{\"name\":\"polled directories\",\"value\":3}]"))
        #expect(text.contains("# TYPE tailrace_spool_next_sequence_id gauge\ntailrace_spool_next_sequence_id 10\n"))
        #expect(text.contains("tailrace_input_records_total{input=\"app\"} 10\n"))
        #expect(
            text.contains("tailrace_output_partition_acknowledged_sequence_id{output=\"hub\",partition=\"0\"} 5\n"))
        #expect(text.contains("tailrace_output_unexplained_records{output=\"hub\"} 1\n"))
        #expect(text.contains("tailrace_config_loaded_timestamp_seconds 1.500\n"))
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            #expect(
                line.wholeMatch(of: /[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9]+(\.[0-9]+)?/) != nil,
                "\(line)")
        }
    }

    /// Events of file inputs are counted by the first of them, whichever that is: a change of their order must not make a counter
    /// fall.
    @Test func whatFileInputsCountTogetherIsOneSeries() {
        var report = OperationsTests.report
        report.inputs[0].events = [.init("read errors", 2)]
        report.inputs[0].lostBytes = 7
        var other = report.inputs[0]
        other.name = "web"
        other.events = [.init("read errors", 3)]
        report.inputs.append(other)
        #expect(metrics(report).contains("\ntailrace_tail_read_errors_total 5\n"))
        #expect(metrics(report).contains("\ntailrace_tail_lost_bytes_total 14\n"))
    }

    /// Or the first loss would be no rise, and no alert.
    @Test func whatNeverHappenedIsToldAsNothing() {
        var report = OperationsTests.report
        report.inputs[0].drops = [.init(reason: "lost in the kernel", records: 0)]
        #expect(
            metrics(report).contains(
                "tailrace_input_dropped_records_total{input=\"app\",reason=\"lost in the kernel\"} 0\n"))
        #expect(!report.text.contains("lost in the kernel"))
    }

    @Test func numbersAreWrittenExactly() {
        var text = MetricsText()
        text.family(
            "a", .gauge, "b",
            [
                ([], .count(.max)), ([], .signed(-7)), ([], .milliseconds(5)), ([], .milliseconds(-1_005)),
                ([("l", "a\"\\\nb")], 0),
            ])
        #expect(
            String(decoding: text.bytes, as: UTF8.self)
                == "# HELP a b\n# TYPE a gauge\na 18446744073709551615\na -7\na 0.005\na -1.005\na{l=\"a\\\"\\\\\\nb\"} 0\n"
        )
    }

    @Test func theProcessTellsWhatItUses() {
        let usage = ProcessUsage.current()
        #expect(usage.processorTime > 0 && usage.residentBytes > 1 << 20)
        #expect(usage.openFiles >= 3 && usage.maximumFiles >= UInt64(usage.openFiles))
        let descriptor = open("/dev/null", O_RDONLY)
        defer { close(descriptor) }
        #expect(descriptor >= 0)
    }

    /// Who renames an input with every reload must not make more and more series.
    @Test func inputsThatAreGoneAreToldOfUpToALimit() throws {
        func configuration(_ name: Int) throws -> AgentConfiguration {
            let text = """
                [input.i\(name)]
                type = "file"
                include = ["/a"]
                [output.hub]
                type = "eventhubs"
                connection_string = "Endpoint=sb://a.example/;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs"
                """
            return try ConfigurationLoader.parse(Array(text.utf8), file: "t.toml")
        }
        var parts = AgentParts(configuration: try configuration(0))
        for name in 1...3 * AgentParts.removedLimit { parts.use(try configuration(name)) }
        #expect(parts.removed.count == AgentParts.removedLimit)
        #expect(parts.removed.last?.name == "i\(3 * AgentParts.removedLimit - 1)")
    }

    @Test func anOutputIsStuckWhenItsBacklogDoesNotMove() {
        var watch = ProgressWatch(patience: 1000)
        #expect(watch.note("a", acknowledged: 5, backlog: 10, now: 0) == nil)
        #expect(watch.note("a", acknowledged: 5, backlog: 10, now: 999) == nil)
        #expect(watch.note("a", acknowledged: 5, backlog: 10, now: 1000) == 1000)
        #expect(watch.note("a", acknowledged: 6, backlog: 9, now: 1001) == nil)
        #expect(watch.note("a", acknowledged: 6, backlog: 9, now: 2000) == nil)
        #expect(watch.note("a", acknowledged: 6, backlog: 0, now: 5000) == nil)
        #expect(watch.note("a", acknowledged: 6, backlog: 1, now: 5001) == nil)
        #expect(watch.note("a", acknowledged: 6, backlog: 1, now: 6001) == 1001)
    }

    @Test func metricsAndHealthAreServed() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = try await MetricsServer.start(ListenAddress(host: "127.0.0.1", port: 0), group: group) { path in
            .init(isHealthy: path != .health, body: Array("body of \(path)\n".utf8))
        }.get()
        let port = try #require(server.address?.port)
        let metrics = try #require(PlainHTTP.get("/metrics", port: port))
        #expect(
            metrics.status == 200 && metrics.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"))
        #expect(PlainHTTP.get("/metrics?x=1", port: port)?.body == "body of metrics\n")
        #expect(PlainHTTP.get("/health", port: port)?.status == 503)
        #expect(PlainHTTP.get("/ready", port: port)?.status == 200)
        let none = try #require(PlainHTTP.get("/", port: port))
        #expect(none.status == 404 && none.body == "there are /metrics, /health, /ready\n")
        await server.stop()
        try await group.shutdownGracefully()
    }
}
