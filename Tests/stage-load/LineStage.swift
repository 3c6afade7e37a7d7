import Glibc
import LoadSupport
import Logging
import TailraceInputs
import TailraceSpool

/// A file in the page cache into batches of lines: by the agent's file tailer, and by read and memchr alone.
final class LineStage: Stage {
    enum Reader { case tailer, plain }

    private static let lines = 40_000
    private static let length = 200
    private static let block = 1 << 20
    private static let quiet = Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() }

    static let tailer = kind("split", "file tailer and line splitter", .tailer)
    static let plain = kind("memchr", "read and memchr alone", .plain)

    private static func kind(_ name: String, _ title: String, _ reader: Reader) -> StageKind {
        StageKind(name: name, title: title, records: lines, bytes: lines * length) {
            try LineStage(path: "\($0)/lines.log", reader: reader)
        }
    }

    private let path: String
    private let reader: Reader
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 4096)

    /// Writes the log.
    private init(path: String, reader: Reader) throws {
        (self.path, self.reader) = (path, reader)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw Failure("cannot make \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        for line in 0..<Self.lines {
            let number = Array("\(line) ".utf8)
            bytes.append(contentsOf: number)
            bytes.append(contentsOf: repeatElement(UInt8(ascii: "x"), count: Self.length - 1 - number.count))
            bytes.append(UInt8(ascii: "\n"))
        }
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw Failure("cannot write \(path)") }
    }

    deinit {
        buffer.deallocate()
        unlink(path)
    }

    func pass() throws {
        let found = reader == .plain ? try readAndFind() : try tail()
        guard found == Self.lines else { throw Failure("\(found) lines of \(Self.lines)") }
    }

    private func readAndFind() throws -> Int {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0, let base = buffer.baseAddress else { throw Failure("cannot read \(path)") }
        defer { close(descriptor) }
        var found = 0
        while true {
            let count = read(descriptor, base, buffer.count)
            guard count > 0 else { return found }
            var at = 0
            while at < count, let newline = memchr(base + at, 0x0A, count - at) {
                at = base.distance(to: newline) + 1
                found += 1
            }
        }
    }

    private func tail() throws -> Int {
        guard let pattern = GlobPattern(path) else { throw Failure("\(path) is not an absolute path") }
        let sink = DroppingSink(block: Self.block, end: UInt64(Self.lines * Self.length))
        let tailer = try FileTailer(
            configuration: FileTailConfiguration(name: "load", include: [pattern]), host: "load", positions: [:],
            sink: sink, logger: Self.quiet)
        tailer.run()
        return sink.records
    }
}
