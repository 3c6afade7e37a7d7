/// Numbers as journals and messages write them.
enum DecimalDigits {
    /// Nil when the text is anything but digits, or its number does not fit.
    static func number(_ text: UnsafeRawBufferPointer) -> UInt64? {
        guard (1...20).contains(text.count) else { return nil }
        var number: UInt64 = 0
        for byte in text {
            let digit = byte &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let (product, overflows) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflowsToo) = product.addingReportingOverflow(UInt64(digit))
            if overflows || overflowsToo { return nil }
            number = sum
        }
        return number
    }
}
