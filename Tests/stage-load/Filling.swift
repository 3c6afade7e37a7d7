import Glibc
import LoadSupport
import Logging
import TailraceSpool

/// A spool in a directory of its own, filled with records of 200 bytes as an input fills it.
struct Filling {
    static let record = 200
    private static let block = 1 << 20
    private static let quiet = Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() }

    let directory: String
    private let text: [UInt8]
    private let entries: [RecordEntry]
    private let pool = BatchPool(blockCapacity: Self.block, limit: 8)

    init(directory: String) {
        self.directory = directory
        let count = Self.block / Self.record
        var text: [UInt8] = []
        for number in 0..<count {
            var line = Array("2026-11-21T12:00:00.000Z INFO request handled line=\(number) ".utf8)
            while line.count < Self.record - 1 { line.append(UInt8(97 + (line.count &* 7 &+ number) % 26)) }
            text += line + [10]
        }
        self.text = text
        entries = (0..<count).map { RecordEntry(start: UInt32($0 * Self.record), length: UInt32(Self.record - 1)) }
    }

    func remove() throws {
        for name in (try? names()) ?? [] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    private func names() throws -> [String] {
        guard let stream = opendir(directory) else { throw Failure("cannot list \(directory)") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    func open(_ sync: SyncPolicy) throws -> Spool {
        var configuration = SpoolConfiguration(directory: directory)
        configuration.sync = sync
        return try Spool.open(configuration, logger: Self.quiet)
    }

    /// Appends `bytes` in batches of a block; all of it is committed when this returns.
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
            try spool.append(batch)
            done += text.count
            if isReleased { spool.release(below: spool.committed) }
        }
        guard spool.flush(timeoutMilliseconds: 60_000) else { throw Failure("the spool was not written in a minute") }
    }
}
