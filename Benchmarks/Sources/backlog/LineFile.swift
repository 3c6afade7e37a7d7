import Glibc
import Measuring

/// A log that is appended to.
struct LineFile {
    static let length = 200
    /// Lines of one write at most.
    private static let block = 5000

    private let descriptor: Int32
    private let lines: [UInt8]

    init(_ path: String) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0o600)
        guard descriptor >= 0 else { fail("create \(path)") }
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: Self.length - 1) + [UInt8(ascii: "\n")]
        lines = Array(repeatElement(line, count: Self.block).joined())
    }

    func append(_ count: Int) {
        var left = count
        while left > 0 {
            let bytes = min(left, Self.block) * Self.length
            guard write(descriptor, lines, bytes) == bytes else { fail("write a log") }
            left -= bytes / Self.length
        }
    }
}
