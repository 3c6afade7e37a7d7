extension SendProgress {
    /// Such as "512000 events/s, 102.4 MB/s".
    package func rates(seconds: Double) -> String {
        let seconds = max(seconds, 0.001)
        return "\(UInt64(Double(events) / seconds)) events/s, \(Self.decimal(Double(bytes) / 1e6 / seconds)) MB/s"
    }

    /// Millions of bytes, with one digit behind the point.
    package static func megabytes(_ bytes: UInt64) -> String { "\(decimal(Double(bytes) / 1e6)) MB" }

    /// With one digit behind the point.
    package static func decimal(_ number: Double) -> String {
        let tenths = UInt64(max(0, number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
