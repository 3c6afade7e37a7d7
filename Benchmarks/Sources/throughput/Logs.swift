import Glibc
import Measuring

/// Lines of 200 bytes with a number each, so that no two are equal.
struct Logs {
    static let length = 200

    let directory: String
    let paths: [String]
    let lines: Int
    var bytes: Int { lines * Self.length }
    var gibibytes: Double { Double(bytes) / 1_073_741_824 }

    /// Writes them.
    init(directory: String, mebibytes: Int, files: Int) {
        let files = max(1, files)
        let linesPerFile = max(1, mebibytes) * 1_048_576 / files / Self.length
        self.directory = directory
        lines = linesPerFile * files
        paths = (0..<files).map { "\(directory)/app-\($0).log" }
        mkdir(directory, 0o700)
        for (file, path) in paths.enumerated() { Self.write(path, file, linesPerFile) }
    }

    private static func write(_ path: String, _ file: Int, _ lines: Int) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { fail("create a log") }
        var block: [UInt8] = []
        block.reserveCapacity(1_100_000)
        for line in 0..<lines {
            let start = block.count
            block += "2026-11-21T12:00:00.000Z INFO request handled file=\(file) line=\(line) ".utf8
            while block.count - start < length - 1 {
                block.append(UInt8(97 + ((block.count - start) &* 7 &+ line) % 26))
            }
            block.append(10)
            if block.count > 1_000_000 || line == lines - 1 {
                guard Glibc.write(descriptor, block, block.count) == block.count else { fail("write a log") }
                block.removeAll(keepingCapacity: true)
            }
        }
        fsync(descriptor)
        close(descriptor)
    }
}
