import Glibc
import Logging
import TestSupport

@testable import TailraceSpool

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A spool directory with small limits.
func configuration(
    _ directory: TemporaryDirectory, segment: Int = 16 << 10, maximum: UInt64 = 4 << 20
) -> SpoolConfiguration {
    var configuration = SpoolConfiguration(directory: directory("spool"))
    configuration.segmentSize = segment
    configuration.maximumSize = maximum
    configuration.retryInterval = .milliseconds(5)
    return configuration
}

/// For tests that open many spools and are not about power cuts: the same format and rules, without the disk's time.
func unsynced(_ configuration: SpoolConfiguration) -> SpoolConfiguration {
    var configuration = configuration
    configuration.sync = .never
    return configuration
}

func openSpool(_ configuration: SpoolConfiguration) throws -> Spool {
    try Spool.open(configuration, logger: quiet)
}

func batch(
    _ bodies: [[UInt8]], source: String = "source", position: String? = nil, gap: Int = 0
) -> RecordBatch {
    let batch = RecordBatch(capacity: max(64, bodies.reduce(0) { $0 + $1.count + gap }))
    for body in bodies {
        let start = body.withUnsafeBytes { batch.copyIn($0)! }
        batch.append(RecordEntry(start: start, length: UInt32(body.count)))
        batch.length += gap
    }
    batch.context = RecordContext(host: "h", source: source, input: "i").encoded
    if let position { batch.position = SourcePosition(source: key(source), value: Array(position.utf8)) }
    batch.time = 1_700_000_000_000
    return batch
}

func batch(_ texts: [String], source: String = "source", position: String? = nil) -> RecordBatch {
    batch(texts.map { Array($0.utf8) }, source: source, position: position)
}

func key(_ name: String) -> SourceKey { SourceKey(Array(name.utf8)) }

func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

/// A record as read back.
struct ReadRecord: Equatable, CustomStringConvertible {
    var id: UInt64
    var body: [UInt8]

    var description: String { "\(id):\(String(decoding: body.prefix(24), as: UTF8.self))" }
}

/// Everything that is durable, from `sequence` on.
func readAll(_ spool: Spool, from sequence: UInt64? = nil) throws -> [ReadRecord] {
    guard let sequence else {
        while true {
            let first = spool.statistics().firstSequence
            do {
                return try readAll(spool, from: first)
            } catch SpoolError.released where spool.statistics().firstSequence > first {
                // The spool thread was just taking segments away: again, from where it begins now.
            }
        }
    }
    let reader = try spool.reader(from: sequence)
    var records: [ReadRecord] = []
    while let frame = try reader.next() { append(frame, to: &records) }
    return records
}

/// The same of a spool that nobody opened.
func readAll(_ spool: StoredSpool, from sequence: UInt64 = 0) throws -> [ReadRecord] {
    var frames = spool.frames(from: sequence)
    var records: [ReadRecord] = []
    while let frame = try frames.next() { append(frame, to: &records) }
    return records
}

private func append(_ frame: SpoolFrame, to records: inout [ReadRecord]) {
    for index in frame.startIndex..<frame.recordCount {
        records.append(ReadRecord(id: frame.firstSequence + UInt64(index), body: Array(frame.body(index))))
    }
}

// MARK: - Files

func readFile(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = fread(&piece, 1, piece.count, file)
        if count == 0 { return bytes }
        bytes.append(contentsOf: piece[..<count])
    }
}

func writeFile(_ path: String, _ bytes: [UInt8]) {
    guard let file = fopen(path, "w") else { fatalError("fopen \(path): \(String(cString: strerror(errno)))") }
    defer { fclose(file) }
    let count = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    precondition(count == bytes.count)
}

func names(_ path: String, suffix: String = "") -> [String] {
    ((try? SpoolDirectory(path: path).names()) ?? []).filter { $0.hasSuffix(suffix) }.sorted()
}

/// The files of a spool, to put back after each experiment.
struct Snapshot {
    var files: [(name: String, bytes: [UInt8])] = []

    init(_ directory: String) {
        for name in names(directory) where name != "quarantine" {
            files.append((name, readFile("\(directory)/\(name)")))
        }
    }

    /// A new spool directory with these files, `change` applied to the bytes of one of them.
    func restore(to directory: String, changing changed: String? = nil, _ change: (inout [UInt8]) -> Void = { _ in }) {
        mkdir(directory, 0o700)
        for name in names(directory) where name != "quarantine" { unlink("\(directory)/\(name)") }
        for name in names("\(directory)/quarantine") { unlink("\(directory)/quarantine/\(name)") }
        for file in files {
            var bytes = file.bytes
            if file.name == changed { change(&bytes) }
            writeFile("\(directory)/\(file.name)", bytes)
        }
    }
}
