import Glibc

@testable import tailrace

/// Lines of one source, appended to a log.
final class LongLog {
    /// Long, so that a few lines fill a segment.
    static let source = String(repeating: "long", count: 2048)
    private let path: String
    private(set) var lines = 0

    init(_ installation: Installation) { path = "\(installation.logs)/app.log" }

    func append(mebibytes: Int) {
        guard let file = fopen(path, "a") else { fatalError("fopen \(path)") }
        defer { fclose(file) }
        var written = 0
        var bytes: [UInt8] = []
        while written < mebibytes << 20 {
            bytes.removeAll(keepingCapacity: true)
            NumberedLine.append(source: Self.source, number: lines, time: "2026-01-01T00:00:00.000Z", to: &bytes)
            precondition(fwrite(bytes, 1, bytes.count, file) == bytes.count)
            written += bytes.count
            lines += 1
        }
    }
}
