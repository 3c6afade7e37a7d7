/// The curves as a picture: processor time above, memory below, a panel for each thing that changes. Points are medians, bars go
/// from least to most.
struct Drawing {
    private static let width = 250.0
    private static let height = 190.0
    private static let margin = (left: 52.0, top: 34.0, right: 12.0, bottom: 44.0)

    let curves: [DrawnCurve]

    var svg: String {
        let size = (width: Self.width * Double(curves.count), height: Self.height * 2)
        var parts = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(size.width)) \(number(size.height))" \
            font-family="sans-serif" font-size="11">
            <rect width="100%" height="100%" fill="white"/>
            """
        ]
        let rows: [(unit: String, color: String, values: (DrawnCurve) -> [[Double]])] = [
            ("s of a processor for a GiB", "#1f6fb4", \.processor), ("MiB resident at most", "#b4501f", \.peak),
        ]
        for (row, kind) in rows.enumerated() {
            for (column, curve) in curves.enumerated() {
                let panel = Panel(
                    x: Double(column) * Self.width + Self.margin.left, y: Double(row) * Self.height + Self.margin.top,
                    width: Self.width - Self.margin.left - Self.margin.right,
                    height: Self.height - Self.margin.top - Self.margin.bottom,
                    top: niceTop(kind.values(curve).joined().max() ?? 1))
                parts.append(
                    panel.draw(
                        kind.values(curve), labels: curve.labels, title: kind.unit, axis: curve.title,
                        color: kind.color))
            }
        }
        return parts.joined(separator: "\n") + "\n</svg>\n"
    }

    /// The next of 1, 2, 4, 6, 8, 10, 20, …
    private func niceTop(_ value: Double) -> Double {
        var step = 1.0
        while true {
            for factor in [1.0, 2, 4, 6, 8] where step * factor >= value { return step * factor }
            step *= 10
        }
    }
}

private struct Panel {
    let x: Double
    let y: Double
    let width: Double
    let height: Double
    /// The value at its upper edge; below is 0.
    let top: Double

    func draw(_ values: [[Double]], labels: [String], title: String, axis: String, color: String) -> String {
        var lines = [
            #"<text x="\#(number(x))" y="\#(number(y - 12))" font-weight="bold">\#(title)</text>"#,
            #"<text x="\#(number(x + width / 2))" y="\#(number(y + height + 32))" text-anchor="middle">\#(axis)</text>"#,
        ]
        for part in 0...4 {
            let value = top * Double(part) / 4
            let at = number(height(of: value))
            lines.append(#"<path d="M\#(number(x)) \#(at)h\#(number(width))" stroke="silver"/>"#)
            lines.append(
                #"<text x="\#(number(x - 6))" y="\#(at)" text-anchor="end" dominant-baseline="middle">\#(number(value))</text>"#
            )
        }
        var points: [String] = []
        for (index, runs) in values.enumerated() {
            let sorted = runs.sorted()
            let at = x + width * (Double(index) + 0.5) / Double(values.count)
            let median = height(of: sorted[sorted.count / 2])
            points.append("\(number(at)) \(number(median))")
            lines.append(
                #"<path d="M\#(number(at)) \#(number(height(of: sorted[0])))V\#(number(height(of: sorted[sorted.count - 1])))" stroke="\#(color)" stroke-width="1.5"/>"#
            )
            lines.append(#"<circle cx="\#(number(at))" cy="\#(number(median))" r="3" fill="\#(color)"/>"#)
            lines.append(
                #"<text x="\#(number(at))" y="\#(number(y + height + 16))" text-anchor="middle">\#(labels[index])</text>"#
            )
        }
        lines.append(#"<path d="M\#(points.joined(separator: "L"))" fill="none" stroke="\#(color)"/>"#)
        return lines.joined(separator: "\n")
    }

    private func height(of value: Double) -> Double { y + height * (1 - value / top) }
}

/// With one decimal where there is one.
private func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(abs(tenths % 10))"
}
