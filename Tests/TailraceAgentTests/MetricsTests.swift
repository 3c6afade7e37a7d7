import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import TailraceAgent

@Suite struct MetricsTests {
    @Test func theNumbersAreInPrometheusFormat() {
        var report = OperationsTests.report
        report.inputs[0].events = [.init("copies recognised", 2), .init("NULs passed over", 0)]
        report.inputs[0].levels = [.init("polled directories", 3)]
        let text = String(decoding: report.metrics, as: UTF8.self)
        #expect(text.contains("tailrace_input_events_total{input=\"app\",what=\"copies recognised\"} 2\n"))
        #expect(text.contains("tailrace_input_events_total{input=\"app\",what=\"NULs passed over\"} 0\n"))
        #expect(text.contains("# TYPE tailrace_input_level gauge\n"))
        #expect(text.contains("tailrace_input_level{input=\"app\",what=\"polled directories\"} 3\n"))
        #expect(report.text.contains("\n        copies recognised: 2, polled directories: 3\n"))
        #expect(
            String(decoding: report.json, as: UTF8.self).contains(
                "\"events\":{\"copies recognised\":2,\"NULs passed over\":0},\"levels\":{\"polled directories\":3}"))
        #expect(text.contains("# TYPE tailrace_spool_next_sequence counter\ntailrace_spool_next_sequence 10\n"))
        #expect(text.contains("tailrace_input_records_total{input=\"app\"} 10\n"))
        #expect(text.contains("tailrace_output_partition_last_acknowledged{output=\"hub\",partition=\"0\"} 5\n"))
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            #expect(line.wholeMatch(of: /[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9]+/) != nil, "\(line)")
        }
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
            .init(isHealthy: path == "/metrics", body: Array("body of \(path)\n".utf8))
        }
        let port = try #require(server.address?.port)
        #expect(try Self.get("/metrics", port).hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(try Self.get("/metrics?x=1", port).hasSuffix("\r\n\r\nbody of /metrics\n"))
        #expect(try Self.get("/health", port).hasPrefix("HTTP/1.1 503 "))
        #expect(try Self.get("/", port).hasPrefix("HTTP/1.1 404 "))
        await server.stop()
        try await group.shutdownGracefully()
    }

    private static func get(_ path: String, _ port: Int) throws -> String {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0)
        let request = "GET \(path) HTTP/1.1\r\nhost: x\r\n\r\n"
        try #require(send(descriptor, request, request.utf8.count, 0) == request.utf8.count)
        var reply: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count <= 0 { return String(decoding: reply, as: UTF8.self) }
            reply.append(contentsOf: chunk[..<count])
        }
    }
}
