import LoadSupport
import Measurements

/// How fast each stage goes.
struct StageRates {
    /// Of a round of a stage, at least: seconds of a processor.
    private static let length = 0.2

    let directory: String

    /// In turns, so that what disturbs one disturbs the others.
    func run(_ rounds: Int, only name: String?) throws {
        let kinds = StageKind.all.filter { name.map($0.name.contains) ?? true }
        let stages = try kinds.map { try $0.make(directory) }
        // Memory, caches and files are touched.
        for stage in stages { try stage.pass() }
        var times: [[Double]] = stages.map { _ in [] }
        for _ in 0..<rounds {
            for (index, stage) in stages.enumerated() { times[index].append(try secondsOfPass(stage)) }
        }
        var results = Results("stages, for each second of a processor")
        for (kind, times) in zip(kinds, times) {
            results.add(kind.title, "M records/s", times.map { Double(kind.records) / $0 / 1e6 })
            if kind.bytes > 0 { results.add(kind.title, "MB/s", times.map { Double(kind.bytes) / $0 / 1e6 }) }
        }
        results.tell()
    }

    private func secondsOfPass(_ stage: any Stage) throws -> Double {
        let begin = ProcessorTime.seconds()
        var passes = 0.0
        while true {
            try stage.pass()
            passes += 1
            let time = ProcessorTime.seconds() - begin
            if time >= Self.length { return time / passes }
        }
    }
}
