/// Payloads that something on the way might change: none, null bytes, ends of lines, bytes that are no text, and lengths
/// around those where encodings change.
enum AwkwardPayloads {
    static let all: [[UInt8]] = [
        [], [0], [0x0D], Array("line with CR\r".utf8), [0xFF, 0xFE, 0x80], Array("ünïcödé 🦆".utf8),
        Array(repeating: 0x41, count: 255), Array(repeating: 0x42, count: 256), Array(0...255),
        (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }, Array(repeating: 0, count: 900_000),
    ]
}
