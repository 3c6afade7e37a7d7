import Glibc

/// Files of lines with a number each, so that no two are equal; in directories of a hundred, as applications have them.
public struct Logs {
    public let paths: [String]
    public let lines: Int
    /// Bytes of a line, with its end.
    public let length: Int
    public let bytes: Int
    /// A pattern for all of them.
    public let include: String

    public var gibibytes: Double { Double(bytes) / 1_073_741_824 }

    /// Writes them.
    public init(directory: String, mebibytes: Int, files: Int, length: Int = 200) {
        let files = max(1, files)
        let linesPerFile = max(1, max(1, mebibytes) * 1_048_576 / files / length)
        lines = linesPerFile * files
        self.length = length
        bytes = lines * length
        include = "\(directory)/*/*.log"
        paths = (0..<files).map { "\(directory)/\($0 / 100)/app-\($0).log" }
        mkdir(directory, 0o700)
        for (file, path) in paths.enumerated() {
            if file % 100 == 0 { mkdir("\(directory)/\(file / 100)", 0o700) }
            Self.write(path, file, linesPerFile, length)
        }
        sync()
    }

    private static func write(_ path: String, _ file: Int, _ lines: Int, _ length: Int) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { fail("create a log") }
        defer { close(descriptor) }
        var block: [UInt8] = []
        block.reserveCapacity(1_000_000 + length)
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
    }
}
