import CTailrace
import TailraceAgent

/// A line that looks like a service's log and can be checked: it says who wrote it, its number, and its checksum.
///
/// `2026-11-21T12:00:00.000Z INFO  [web-2] n=17 GET /v1/orders/4711 status=200 took=12ms trace=… crc=01234567`
enum NumberedLine {
    private static let levels = ["INFO ", "INFO ", "INFO ", "DEBUG", "WARN ", "ERROR"]
    private static let requests = [
        "GET /v1/orders/", "POST /v1/orders/", "GET /v1/customers/", "PUT /v1/carts/", "GET /health/",
        "DELETE /v1/carts/",
    ]

    /// Appends one line with its newline.
    static func append(source: String, number: Int, time: String, to bytes: inout [UInt8]) {
        let start = bytes.count
        // Mixed from the number, so that lines differ as lines of a log do.
        let mix = UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15
        let choice = Int(mix >> 40)
        bytes.append(contentsOf: time.utf8)
        bytes.append(0x20)
        bytes.append(contentsOf: levels[choice % levels.count].utf8)
        bytes.append(contentsOf: " [".utf8)
        bytes.append(contentsOf: source.utf8)
        bytes.append(contentsOf: "] n=".utf8)
        append(number, to: &bytes)
        bytes.append(0x20)
        bytes.append(contentsOf: requests[choice % requests.count].utf8)
        append(choice % 100_000, to: &bytes)
        bytes.append(contentsOf: " status=200 took=".utf8)
        append(choice % 997, to: &bytes)
        bytes.append(contentsOf: "ms agent=\"Mozilla/5.0 (X11; Linux x86_64)\" trace=".utf8)
        appendHexadecimal(mix, digits: 16, to: &bytes)
        appendHexadecimal(mix &* 31, digits: 16, to: &bytes)
        let checksum = bytes.withUnsafeBytes { crc(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        bytes.append(contentsOf: " crc=".utf8)
        appendHexadecimal(UInt64(checksum), digits: 8, to: &bytes)
        bytes.append(0x0A)
    }

    private static func append(_ number: Int, to bytes: inout [UInt8]) {
        if number >= 10 { append(number / 10, to: &bytes) }
        bytes.append(UInt8(0x30 + number % 10))
    }

    private static func appendHexadecimal(_ value: UInt64, digits: Int, to bytes: inout [UInt8]) {
        for digit in (0..<digits).reversed() {
            let nibble = UInt8(truncatingIfNeeded: value >> UInt64(digit * 4)) & 15
            bytes.append(nibble < 10 ? 0x30 + nibble : 0x57 + nibble)
        }
    }

    private static func crc(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        tailrace_crc32c(0, bytes.baseAddress, bytes.count)
    }

    /// Who wrote the line, and its number; nil when the line is not what was written.
    static func parse(_ line: UnsafeRawBufferPointer) -> (source: UnsafeRawBufferPointer, number: Int)? {
        let tail = 13  // " crc=" and eight digits
        guard line.count > tail else { return nil }
        let body = UnsafeRawBufferPointer(rebasing: line.dropLast(tail))
        var expected: [UInt8] = Array(" crc=".utf8)
        appendHexadecimal(UInt64(crc(body)), digits: 8, to: &expected)
        guard line.suffix(tail).elementsEqual(expected) else { return nil }
        guard let open = find("[", in: body, from: 0), let close = find("] n=", in: body, from: open) else {
            return nil
        }
        var number = 0
        for byte in body[(close + 4)...] {
            guard byte >= 0x30, byte <= 0x39, number < 1_000_000_000_000 else { break }
            number = number * 10 + Int(byte - 0x30)
        }
        return (UnsafeRawBufferPointer(rebasing: body[(open + 1)..<close]), number)
    }

    private static func find(_ text: StaticString, in bytes: UnsafeRawBufferPointer, from: Int) -> Int? {
        guard let base = bytes.baseAddress, from <= bytes.count else { return nil }
        let found = tailrace_find(base + from, bytes.count - from, text.utf8Start, text.utf8CodeUnitCount)
        return found.map { $0 - base }
    }
}
