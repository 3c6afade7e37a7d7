// How the agent's cost grows: file -> spool (synced) -> TLS -> hub, against the number of files, of partitions, the length of
// lines, and the load that is offered. Prints the figures and draws them.
//
//     curves TAILRACE [--svg FILE] [--mebibytes 256] [--runs 3] [--seconds 5] [--directory DIR]
import Glibc
import Measurements
import Measuring

@main
struct Curves {
    static func main() {
        let options = Options()
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
        let curves = Curve.all.filter { only.isEmpty || $0.title.contains(only) }
        let drawn = curves.map { $0.measured(on: bench, runs: max(1, options.number("runs", 3))) }
        let path = options.text("svg", "")
        if !path.isEmpty { write(Drawing(curves: drawn).svg, to: path) }
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

    /// All places in turns, so that what disturbs one run disturbs the curve and not a place.
    func measured(on bench: Bench, runs: Int) -> DrawnCurve {
        var figures: [[Bench.Figures]] = places.map { _ in [] }
        for _ in 0..<runs {
            for (index, place) in places.enumerated() { figures[index].append(bench.run(place.job)) }
        }
        var results = Results("cost against \(title)")
        for (place, figures) in zip(places, figures) {
            results.add(place.label, "s/GiB", figures.map(\.processor))
            results.add(place.label, "MiB peak", figures.map(\.peak))
            results.add(place.label, "MB/s", figures.map(\.rate))
        }
        results.tell()
        return DrawnCurve(
            title: title, labels: places.map(\.label),
            processor: figures.map { $0.map(\.processor) }, peak: figures.map { $0.map(\.peak) })
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
