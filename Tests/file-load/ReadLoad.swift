import Glibc
import LoadSupport
import Logging
import TailraceInputs
import TailraceSpool

/// A log in the page cache, read by the real tailer and split into lines; beside it what the machine can do: `read`, and
/// `memchr` for each newline.
struct ReadLoad {
    /// Bytes of a batch's block in an agent with the standard settings.
    private static let block = 1 << 20

    let path: String
    let lines: Int
    let length: Int

    private var size: Int { lines * length }

    /// Writes the log: lines of `length` bytes, newlines included.
    func prepare() throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw Failure("cannot make \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        for line in 0..<lines {
            let number = Array("\(line) ".utf8)
            bytes.append(contentsOf: number.prefix(length - 1))
            bytes.append(contentsOf: repeatElement(UInt8(ascii: "x"), count: max(0, length - 1 - number.count)))
            bytes.append(UInt8(ascii: "\n"))
            guard bytes.count >= Self.block || line == lines - 1 else { continue }
            guard write(descriptor, bytes, bytes.count) == bytes.count else { throw Failure("cannot write \(path)") }
            bytes.removeAll(keepingCapacity: true)
        }
    }

    func run(rounds: Int) throws {
        var plain: [Double] = []
        var tailed: [Double] = []
        // In turns, so that what disturbs one disturbs the other.
        for _ in 0..<rounds {
            plain.append(try readAndFind())
            tailed.append(try tail())
        }
        print("\(lines) lines of \(length) bytes from the page cache, per core")
        report("read and memchr alone", "GB/s", plain, decimals: 2)
        report("file tailer and line splitter", "GB/s", tailed, decimals: 2)
    }

    /// GB per second of processor time.
    private func readAndFind() throws -> Double {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.block, alignment: 4096)
        defer { buffer.deallocate() }
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0, let base = buffer.baseAddress else { throw Failure("cannot read \(path)") }
        defer { close(descriptor) }
        let begin = ProcessorTime.seconds()
        var found = 0
        while true {
            let count = read(descriptor, base, buffer.count)
            guard count > 0 else { break }
            var at = 0
            while at < count, let newline = memchr(base + at, 0x0A, count - at) {
                at = base.distance(to: newline) + 1
                found += 1
            }
        }
        let time = ProcessorTime.seconds() - begin
        guard found == lines else { throw Failure("\(found) newlines of \(lines)") }
        return Double(size) / time / 1e9
    }

    private func tail() throws -> Double {
        guard let pattern = GlobPattern(path) else { throw Failure("\(path) is not an absolute path") }
        let sink = DroppingSink(block: Self.block, end: UInt64(size))
        let tailer = try FileTailer(
            configuration: FileTailConfiguration(name: "load", include: [pattern]), host: "load", positions: [:],
            sink: sink, logger: Logger(label: "load") { _ in SwiftLogNoOpLogHandler() })
        let begin = ProcessorTime.seconds()
        tailer.run()
        let time = ProcessorTime.seconds() - begin
        guard sink.records == lines else { throw Failure("\(sink.records) records of \(lines)") }
        return Double(size) / time / 1e9
    }
}
