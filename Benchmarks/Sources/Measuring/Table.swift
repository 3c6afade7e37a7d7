/// One row of a table: median, minimum and maximum of a figure over the runs.
public func row(_ name: String, _ unit: String, _ values: [Double]) {
    let sorted = values.sorted()
    func text(_ value: Double) -> String {
        let scaled = Int((value * 100).rounded())
        let fraction = scaled % 100
        return "\(scaled / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }
    func pad(_ text: String, _ width: Int) -> String {
        text.count < width ? String(repeating: " ", count: width - text.count) + text : text
    }
    print(
        name + String(repeating: " ", count: max(1, 34 - name.count)) + pad(text(sorted[sorted.count / 2]), 10)
            + pad(text(sorted.first ?? 0), 10) + pad(text(sorted.last ?? 0), 10) + "  " + unit)
}

public func tableHeading() {
    print("\nfigure                                median       min       max")
}
