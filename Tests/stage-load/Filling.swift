import Glibc
import LoadSupport
import Logging
import TailraceSpool

/// A spool in a directory of its own, filled with records of 200 bytes as an input fills it.
struct Filling {
    /// Bytes.
    static let record = 200
    private static let block = 1 << 20
    /// Records of a batch.
    static let batch = block / record
    private static let quiet = Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() }

    let directory: String
    private let text: [UInt8]
    private let entries: [RecordEntry]
    private let source = SourceKey([1])
    private let pool = BatchPool(blockCapacity: Self.block, limit: 8)

    /// - Parameter directory: made anew; its parent must exist.
    init(directory: String) {
        self.directory = directory
        var text: [UInt8] = []
        for number in 0..<Self.batch {
            var line = Array("2026-11-21T12:00:00.000Z INFO request handled line=\(number) ".utf8)
            while line.count < Self.record - 1 { line.append(UInt8(97 + (line.count &* 7 &+ number) % 26)) }
            text += line + [10]
        }
        self.text = text
        entries = (0..<Self.batch).map {
            RecordEntry(start: UInt32($0 * Self.record), length: UInt32(Self.record - 1))
        }
    }

    func remove() {
        for name in (try? SpoolDirectory(path: directory).names()) ?? [] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    /// - Parameter change: what differs from how the agent opens it.
    func open(_ change: (inout SpoolConfiguration) -> Void) throws -> Spool {
        var configuration = SpoolConfiguration(directory: directory)
        change(&configuration)
        return try Spool.open(configuration, logger: Self.quiet)
    }

    /// Appends at least `bytes` in batches of a block; all of it is committed when this returns.
    ///
    /// - Parameter isReleased: what is committed is released at once, as if all outputs were past it: segments are used again.
    func fill(_ spool: Spool, bytes: Int, isReleased: Bool = false) throws {
        let context = RecordContext(host: "host", source: "/var/log/app.log", input: "app").encoded
        var done = 0
        while done < bytes {
            guard let batch = pool.take() else {
                usleep(50)
                continue
            }
            batch.context = context
            text.withUnsafeBytes { _ = batch.copyIn($0) }
            for entry in entries { batch.append(entry) }
            batch.baseOffset = UInt64(done)
            done += text.count
            batch.position = SourcePosition(source: source, value: Array("\(done)".utf8))
            try spool.append(batch)
            // Of a spool without a thread.
            while case .again = spool.step() {}
            if isReleased { spool.release(below: spool.committed) }
        }
        guard spool.flush(timeoutMilliseconds: 600_000) else {
            throw Failure("the spool was not written in ten minutes")
        }
    }
}
