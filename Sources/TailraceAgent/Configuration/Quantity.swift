/// Sizes and durations as people write them: `"10GiB"`, `"64MB"`, `512`; `"500ms"`, `"5s"`.
package enum Quantity {
    private static let sizeUnits: [(String, UInt64)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
        ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1), ("", 1),
    ]
    private static let durationUnits: [(String, Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// Bytes; nil when `text` is not a whole number and a unit of the list, or does not fit.
    package static func size(_ text: String) -> UInt64? {
        guard let (number, unit) = split(text) else { return nil }
        guard let factor = sizeUnits.first(where: { $0.0.lowercased() == unit.lowercased() })?.1 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow || product > UInt64(Int64.max) ? nil : product
    }

    /// Nil when `text` is not a whole number and a unit of the list, or is longer than a year.
    package static func duration(_ text: String) -> Duration? {
        guard let (number, unit) = split(text), let number = Int64(exactly: number) else { return nil }
        guard let factor = durationUnits.first(where: { $0.0 == unit })?.1 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow || product > 366 * 86_400_000 ? nil : .milliseconds(product)
    }

    /// Bytes in the largest unit that shows them without a fraction, or with one digit after the point.
    package static func describe(bytes: UInt64) -> String {
        for (unit, factor) in sizeUnits[0...3].reversed() where bytes >= factor {
            if bytes % factor == 0 { return "\(bytes / factor) \(unit)" }
            let tenths = bytes / factor * 10 + bytes % factor * 10 / factor
            return "\(tenths / 10).\(tenths % 10) \(unit)"
        }
        return "\(bytes) B"
    }

    private static func split(_ text: String) -> (UInt64, String)? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        return (number, String(text.dropFirst(digits.count).drop { $0 == " " }))
    }
}

/// "1 file", "2 files".
package func counted(_ number: some BinaryInteger, _ noun: String, plural: String? = nil) -> String {
    "\(number) \(number == 1 ? noun : plural ?? noun + "s")"
}
