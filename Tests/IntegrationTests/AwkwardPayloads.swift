/// Payloads that something on the way might change: none, null bytes, ends of lines, bytes that are no text, and lengths
/// around those where encodings change.
enum AwkwardPayloads {
    static let all: [[UInt8]] = [
        [], [0], [0x0D], Array("line with CR\r".utf8), [0xFF, 0xFE, 0x80], Array("ünïcödé 🦆".utf8),
        Array(repeating: 0x41, count: 255), Array(repeating: 0x42, count: 256), Array(0...255),
        (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }, Array(repeating: 0, count: 900_000),
    ]

    /// As lines of a file: without the bytes that would end them.
    static let lines = all.map { $0.filter { $0 != 0x0A } }

    /// What a file input makes of a line: NULs, 64 and more, where it should begin are a hole in the file (hazard 37).
    static func record(of line: [UInt8]) -> [UInt8] {
        let count = line.prefix { $0 == 0 }.count
        return count < 64 ? line : Array(line.dropFirst(count))
    }
}
