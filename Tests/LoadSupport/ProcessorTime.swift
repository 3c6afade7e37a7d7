import Glibc

/// What the calling thread takes of a processor.
package enum ProcessorTime {
    /// Of the calling thread since it began.
    package static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// "NAME: MEDIAN UNIT (LEAST to MOST)" of what several rounds gave.
package func report(_ name: String, _ unit: String, _ values: [Double], decimals: Int = 0) {
    guard !values.isEmpty else { return }
    let sorted = values.sorted()
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    func text(_ value: Double) -> String {
        let scaled = Int((value * scale).rounded())
        guard decimals > 0 else { return "\(scaled)" }
        let fraction = "\(scaled % Int(scale))"
        return "\(scaled / Int(scale))." + String(repeating: "0", count: decimals - fraction.utf8.count) + fraction
    }
    print(
        "\(name): \(text(sorted[sorted.count / 2])) \(unit) (\(text(sorted[0])) to \(text(sorted[sorted.count - 1])))")
}
