import CZlib
import Glibc
import LoadSupport
import Measurements
import NIOCore
import Pulsar

/// What compressing the spool would cost and save: blocks of log lines, as an input fills them, through the compressions of the
/// system. Lines of four kinds with times, numbers and identifiers that differ from one to the next.
enum Compressions {
    private static let block = 1 << 20
    private static let blocks = 16

    static func run(_ rounds: Int) throws {
        let lines = Self.lines()
        var results = Results("compressions of blocks of 1 MiB of log lines, for each second of a processor")
        try measure("zlib, level 1", lines, rounds, &results) { zlib($0) }
        for compression in [PulsarCompression.lz4, .zstd] {
            let compressor = try Compressor(compression)
            try measure("\(compression)", lines, rounds, &results) { bytes in
                var input = ByteBuffer(bytes: bytes)
                return try compressor.compress(&input).readableBytes
            }
        }
        results.tell()
    }

    private static func measure(
        _ name: String, _ lines: [[UInt8]], _ rounds: Int, _ results: inout Results, _ compress: ([UInt8]) throws -> Int
    ) throws {
        var rates: [Double] = []
        var shares: [Double] = []
        for _ in 0..<rounds {
            let begin = ProcessorTime.seconds()
            let left = try lines.reduce(0) { try $0 + compress($1) }
            let time = ProcessorTime.seconds() - begin
            rates.append(Double(blocks * block) / time / 1e6)
            shares.append(Double(blocks * block) / Double(left))
        }
        results.add(name, "MB/s", rates)
        results.add(name, "s/GiB", rates.map { 1073.74 / $0 })
        results.add(name, "times smaller", shares)
    }

    private static func zlib(_ bytes: [UInt8]) -> Int {
        var count = compressBound(UInt(bytes.count))
        var output = [UInt8](repeating: 0, count: Int(count))
        let result = compress2(&output, &count, bytes, UInt(bytes.count), 1)
        precondition(result == Z_OK)
        return Int(count)
    }

    private static func lines() -> [[UInt8]] {
        var state: UInt64 = 42
        func random(_ limit: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % limit
        }
        let paths = ["/api/v1/orders", "/api/v1/customers/search", "/health", "/static/app.js", "/login"]
        var time = 0
        return (0..<blocks).map { _ in
            var bytes: [UInt8] = []
            while bytes.count < block {
                time += Int(random(900))
                let stamp = "2026-11-21T12:\(10 + time / 60_000 % 50):\(10 + time / 1000 % 50).\(100 + time % 900)Z"
                let id = String(random(1 << 31), radix: 16) + String(random(1 << 31), radix: 16)
                let path = paths[Int(random(5))]
                switch random(4) {
                case 0:
                    bytes +=
                        "\(stamp) INFO  [http-\(random(64))] \(id) GET \(path) 200 \(random(5000)) bytes in \(random(900)) ms\n"
                        .utf8
                case 1:
                    bytes +=
                        "\(stamp) DEBUG [pool-\(random(8))] \(id) query took \(random(90)) ms, \(random(400)) rows: select * from orders where customer = \(random(1_000_000))\n"
                        .utf8
                case 2:
                    bytes +=
                        "\(stamp) WARN  [http-\(random(64))] \(id) slow upstream 10.0.\(random(4)).\(random(250)) answered \(path) after \(1000 + random(9000)) ms, retry \(random(3))\n"
                        .utf8
                default:
                    bytes +=
                        "{\"time\":\"\(stamp)\",\"level\":\"info\",\"trace\":\"\(id)\",\"path\":\"\(path)\",\"user\":\(random(100_000)),\"message\":\"request handled\"}\n"
                        .utf8
                }
            }
            return Array(bytes.prefix(block))
        }
    }
}
