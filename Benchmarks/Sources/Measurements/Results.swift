import FoundationEssentials
import Glibc

/// The measurements of one benchmark: gathered, printed as a table, and appended as lines of JSON to the file that the
/// environment names in MEASUREMENTS.
public struct Results {
    private let benchmark: String
    public private(set) var measurements: [Measurement] = []

    public init(_ benchmark: String) { self.benchmark = benchmark }

    /// - Parameters:
    ///   - unit: with the quantity where the unit alone does not tell it, such as "ms, 99 %".
    ///   - values: one for each run; none: there is no such row.
    public mutating func add(_ subject: String, _ unit: String, _ values: [Double]) {
        guard !values.isEmpty else { return }
        measurements.append(Measurement(benchmark: benchmark, subject: subject, unit: unit, values: values))
    }

    /// Adds the ratios of all that was measured of both in the same runs.
    public mutating func compare(_ subject: String, to other: String) {
        func all(_ subject: String) -> [Measurement] {
            measurements.filter { $0.subject == subject && $0.comparedTo == nil }
        }
        for own in all(subject) {
            for yardstick in all(other) where yardstick.unit == own.unit && yardstick.values.count == own.values.count {
                guard yardstick.values.allSatisfy({ $0 > 0 }) else { continue }
                var ratio = own
                ratio.values = zip(own.values, yardstick.values).map { $0 / $1 }
                ratio.comparedTo = other
                measurements.append(ratio)
            }
        }
    }

    /// Prints the table, and appends the measurements to the file.
    public func tell() {
        print(MeasurementTable(measurements).text)
        // Who follows a file sees it at once too.
        fflush(nil)
        guard let path = getenv("MEASUREMENTS") else { return }
        guard let file = fopen(path, "a") else { return perror(path) }
        defer { fclose(file) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for measurement in measurements {
            guard let line = try? encoder.encode(measurement) else { continue }
            fputs(String(decoding: line, as: UTF8.self) + "\n", file)
        }
    }

    /// All lines of such a file.
    public static func read(_ path: String) throws -> [Measurement] {
        let decoder = JSONDecoder()
        return try Data(contentsOf: URL(filePath: path)).split(separator: 10).map {
            try decoder.decode(Measurement.self, from: $0)
        }
    }
}
