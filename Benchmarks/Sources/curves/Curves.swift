// How the agent's cost grows: file -> spool (synced) -> TLS -> hub, against the number of files, of partitions, the length of
// lines, and the load that is offered. Prints the figures and draws them.
//
//     curves TAILRACE [--svg FILE] [--mebibytes 256] [--runs 3] [--seconds 5] [--only WORD] [--directory DIR]
//     curves --from MEASUREMENTS --svg FILE      draws again what was measured
import Glibc
import Measurements
import Measuring

@main
struct Curves {
    static func main() {
        let options = Options()
        let (from, svg) = (options.text("from", ""), options.text("svg", ""))
        let measurements = from.isEmpty ? measure(options) : read(from)
        if !svg.isEmpty { write(Drawing(curves: Curve.all.compactMap { $0.drawn(measurements) }).svg, to: svg) }
    }

    private static func measure(_ options: Options) -> [Measurement] {
        let usage =
            "curves TAILRACE [--svg FILE] [--mebibytes N] [--runs N] [--seconds N] [--only WORD] [--directory DIR]"
        let binary = options.programs(1, usage: usage)[0]
        let base = options.text("directory", "/tmp") + "/tailrace-curves-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let bench = Bench(
            binary: binary, base: base, mebibytes: options.number("mebibytes", 256),
            seconds: options.number("seconds", 5))
        let only = options.text("only", "")
        return Curve.all.filter { only.isEmpty || $0.title.contains(only) }.flatMap {
            $0.measured(on: bench, runs: max(1, options.number("runs", 3)))
        }
    }

    private static func read(_ path: String) -> [Measurement] {
        do {
            return try Results.read(path)
        } catch {
            fail("read \(path): \(error)", 0)
        }
    }
}

/// One thing that changes, while the rest stays.
struct Curve {
    /// What changes.
    var title: String
    var places: [(label: String, job: Job)]

    static let all: [Curve] = [
        Curve(title: "files", places: [1, 10, 100, 1000, 10_000].map { ("\($0)", Job(files: $0)) }),
        Curve(title: "partitions", places: [1, 4, 32, 256].map { ("\($0)", Job(files: 1000, partitions: $0)) }),
        Curve(
            title: "bytes of a line",
            places: [200, 1 << 10, 4 << 10, 16 << 10, 64 << 10].map {
                ($0 < 1024 ? "\($0)" : "\($0 >> 10) Ki", Job(length: $0))
            }),
        Curve(title: "MB/s offered", places: [1, 3, 10, 30, 100].map { (load: Int) in ("\(load)", Job(load: load)) }),
    ]

    private var name: String { "cost against \(title)" }

    /// All places in turns, so that what disturbs one run disturbs the curve and not a place.
    func measured(on bench: Bench, runs: Int) -> [Measurement] {
        var figures: [[Bench.Figures]] = places.map { _ in [] }
        for _ in 0..<runs {
            for (index, place) in places.enumerated() { figures[index].append(bench.run(place.job)) }
        }
        var results = Results(name)
        for (place, figures) in zip(places, figures) {
            results.add(place.label, Self.processor, figures.map(\.processor))
            results.add(place.label, Self.peak, figures.map(\.peak))
            results.add(place.label, "MB/s", figures.map(\.rate))
        }
        results.tell()
        return results.measurements
    }

    private static let processor = "s/GiB"
    private static let peak = "MiB peak"

    /// Nil when it was not measured.
    func drawn(_ measurements: [Measurement]) -> DrawnCurve? {
        let own = measurements.filter { $0.benchmark == name }
        func values(_ unit: String) -> [[Double]] {
            places.compactMap { place in
                // What was measured last counts.
                own.last { $0.subject == place.label && $0.unit == unit }?.values
            }
        }
        let curve = DrawnCurve(
            title: title, labels: places.map(\.label), processor: values(Self.processor), peak: values(Self.peak))
        return curve.processor.count == places.count && curve.peak.count == places.count ? curve : nil
    }
}

/// A curve with what each run gave at each of its places.
struct DrawnCurve {
    var title: String
    var labels: [String]
    /// Seconds of a processor for each GiB.
    var processor: [[Double]]
    /// Resident, in MiB.
    var peak: [[Double]]
}
