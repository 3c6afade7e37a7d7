/// What each run of a benchmark gave for one quantity of one subject.
public struct Measurement: Codable, Sendable {
    /// Of which benchmark; the heading above its rows.
    public var benchmark: String
    /// Who was measured: the row.
    public var subject: String
    /// Unit, and quantity where the unit alone does not tell it; the column.
    public var unit: String
    /// One for each run.
    public var values: [Double]
    /// The values are ratios to this subject's in the same runs.
    public var comparedTo: String?

    public var median: Double { sorted[values.count / 2] }
    public var least: Double { values.min() ?? 0 }
    public var most: Double { values.max() ?? 0 }

    private var sorted: [Double] { values.sorted() }
}
