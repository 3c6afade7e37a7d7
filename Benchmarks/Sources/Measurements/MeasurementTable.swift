/// Measurements as people read them: a block for each benchmark, a row for each subject, a column for each unit; in a cell the
/// median of the runs, with least and most when there were several.
public struct MeasurementTable {
    private let measurements: [Measurement]

    public init(_ measurements: [Measurement]) { self.measurements = measurements }

    public var text: String {
        unique(measurements.map(\.benchmark)).map { name in
            block(name, measurements.filter { $0.benchmark == name })
        }.joined(separator: "\n")
    }

    private func block(_ name: String, _ own: [Measurement]) -> String {
        let units = unique(own.map(\.unit))
        var rows = [[name] + units]
        for label in unique(own.map(label)) {
            rows.append(
                [label]
                    + units.map { unit in own.last { self.label($0) == label && $0.unit == unit }.map(cell) ?? "" })
        }
        let widths = (0...units.count).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, text) in row.enumerated() {
                let space = String(repeating: " ", count: widths[column] - text.count)
                line += column == 0 ? text + space : "  " + space + text
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    private func label(_ measurement: Measurement) -> String {
        "  \(measurement.subject)" + (measurement.comparedTo.map { ", to \($0)" } ?? "")
    }

    private func cell(_ measurement: Measurement) -> String {
        let unit = measurement.comparedTo == nil ? "" : "x"
        let median = short(measurement.median) + unit
        guard measurement.values.count > 1 else { return median }
        return "\(median) (\(short(measurement.least))…\(short(measurement.most)))"
    }

    /// Three digits that matter.
    private func short(_ value: Double) -> String {
        let size = value.magnitude
        let decimals = size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3
        let scale = [1.0, 10, 100, 1000][decimals]
        let scaled = Int((size * scale).rounded())
        let fraction = "\(scaled % Int(scale))"
        let digits = String(repeating: "0", count: max(0, decimals - fraction.count)) + fraction
        return (value < 0 ? "-" : "") + "\(scaled / Int(scale))" + (decimals == 0 ? "" : "." + digits)
    }

    /// In the order of their first appearance.
    private func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}
