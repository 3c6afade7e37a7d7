import Glibc
import Logging
import TailraceSpool
import TestSupport

/// A spool of three segments on a simulated disk, every byte of which may be spoiled in three ways: what must be left of it is
/// told by a reader of the format that shares nothing with the spool's own.
package struct ByteDamage: Sendable {
    package enum Kind: CaseIterable, Sendable {
        /// One bit is another.
        case flip
        /// What lies there, and behind it, is zero.
        case zero
        /// The file ends there.
        case cut
    }

    package struct Place: Sendable, CustomStringConvertible {
        package var kind: Kind
        package var file: String
        package var offset: Int

        package var description: String { "\(kind) at \(offset) of \(file)" }
    }

    private struct Frame: Sendable {
        var file: String
        /// Header and payload, without the padding.
        var bytes: Range<Int>
        var ids: Range<UInt64>
        var isCommit: Bool
    }

    private static let directory = "/spool"
    private static let quiet = Logger(label: "damage") { _ in SwiftLogNoOpLogHandler() }
    private static let zeroed = 600

    private let files: [(name: String, bytes: [UInt8])]
    private let bodies: [[UInt8]]
    private let positions: [SourceKey: [UInt8]]
    private let frames: [Frame]
    /// All there are.
    package let places: [Place]

    package init() throws {
        let disk = SimulatedDisk(seed: 1)
        let spool = try Spool.open(Self.configuration(disk), logger: Self.quiet)
        var bodies: [[UInt8]] = []
        var number = 0
        while spool.statistics().segments < 3 || number % 8 != 0 {
            let batch = RecordBatch(capacity: 1024)
            for index in 0..<(1 + number % 3) {
                let body = Array("record \(number).\(index) ".utf8) + [UInt8](repeating: 7, count: number % 100)
                guard let start = body.withUnsafeBytes(batch.copyIn) else { preconditionFailure("the batch has room") }
                batch.append(RecordEntry(start: start, length: UInt32(body.count)))
                bodies.append(body)
            }
            batch.context = RecordContext(host: "h", source: "\(number % 5)", input: "i").encoded
            batch.position = SourcePosition(source: SourceKey([UInt8(number % 5)]), value: Array("\(number)".utf8))
            // One group each: every byte was durable.
            try Self.store(batch, in: spool)
            number += 1
        }
        positions = spool.positions()
        spool.close()
        // Tells where the spool begins when its first header is gone.
        try Ledger.open(
            directory: Self.directory, name: "out.ledger", firstSequence: 0,
            environment: Self.configuration(disk).environment, logger: Self.quiet
        ).close()
        self.bodies = bodies
        let files = disk.names(in: Self.directory).map { name in
            (name: name, bytes: disk.contents("\(Self.directory)/\(name)") ?? [])
        }
        self.files = files
        let segments = files.filter { $0.name.hasSuffix(".spool") }
        frames = segments.flatMap { Self.frames(of: $0.name, $0.bytes) }
        places = segments.flatMap { segment in
            Kind.allCases.flatMap { kind in
                segment.bytes.indices.map { Place(kind: kind, file: segment.name, offset: $0) }
            }
        }
        guard frames.reduce(0, { $0 + $1.ids.count }) == bodies.count else {
            throw Failure(description: "the frames hold \(frames.map(\.ids)), not \(bodies.count) records")
        }
    }

    private struct Failure: Error, CustomStringConvertible { var description: String }

    private static func configuration(_ disk: SimulatedDisk) -> SpoolConfiguration {
        var configuration = SpoolConfiguration(directory: directory)
        configuration.environment = SpoolEnvironment(
            disk: disk, clocks: Clocks(nanoseconds: { 1 }, instant: { .now }, wallMilliseconds: { 1_700_000_000_000 }),
            hasThreads: false)
        configuration.maximumSize = SpoolConfiguration.minimumSize
        configuration.segmentSize = 4096
        return configuration
    }

    private static func store(_ batch: RecordBatch, in spool: Spool) throws {
        guard spool.tryAppend(batch), spool.flush() else { throw Failure(description: "the spool takes nothing") }
    }

    /// As the format's specification has them.
    private static func frames(of file: String, _ bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var at = 64
        while at + 80 <= bytes.count, Array(bytes[at..<(at + 4)]) == Array("TRFR".utf8) {
            func number(_ offset: Int, _ size: Int) -> Int {
                bytes[(at + offset)..<(at + offset + size)].reversed().reduce(0) { $0 << 8 | Int($1) }
            }
            let records = number(48, 4)
            let prefix = (number(56, 4) + number(60, 4) + number(68, 2) + 3) & ~3
            let end = at + 80 + prefix + 12 * number(52, 4) + 8 * records + number(64, 4)
            let first = UInt64(number(16, 8))
            let hasRecords = bytes[at + 5] == 1
            frames.append(
                Frame(
                    file: file, bytes: at..<end, ids: first..<(first + (hasRecords ? UInt64(records) : 0)),
                    isCommit: bytes[at + 5] == 3))
            at = (end + 7) & ~7
        }
        return frames
    }

    // MARK: - Damage

    /// Spoils a place and holds what is left against what must be; nil when that is the same.
    package func check(_ place: Place) -> String? {
        do {
            return try differences(place).map { "\(place): \($0)" }
        } catch {
            return "\(place): \(error)"
        }
    }

    private func differences(_ place: Place) throws -> String? {
        let disk = SimulatedDisk(seed: 2)
        _ = disk.makeDirectory(Self.directory)
        for file in files { put(file.name == place.file ? spoil(file.bytes, place) : file.bytes, file.name, disk) }
        let damaged = frames.filter { $0.file == place.file && isHit($0, place) }
        let lost = Set(damaged.flatMap { Array($0.ids) })
        let kept = bodies.indices.filter { !lost.contains(UInt64($0)) }.map { (UInt64($0), bodies[$0]) }
        // The last frame says that everything before it was durable; without it, what is hit behind the last whole frame
        // looks like what was on its way.
        let isProven = !damaged.contains { $0.isCommit && $0.bytes == frames.last?.bytes }
        let next = isProven ? UInt64(bodies.count) : kept.last.map { $0.0 + 1 } ?? 0

        var spool = try Spool.open(Self.configuration(disk), logger: Self.quiet)
        let found = try Self.read(spool)
        let statistics = spool.statistics()
        guard found.elementsEqual(kept, by: ==) else { return "\(found.map(\.0)) are left, not \(kept.map(\.0))" }
        let counted = UInt64(lost.count { $0 < next })
        guard statistics.quarantinedRecords == counted else {
            return "\(statistics.quarantinedRecords) records are counted as lost, not \(counted)"
        }
        guard statistics.nextSequence >= next else { return "\(statistics.nextSequence) is given out again" }
        if lost.isEmpty, spool.positions() != positions { return "the positions are others" }
        // Life goes on behind everything that was ever there.
        let after = RecordBatch(capacity: 64)
        guard let start = Array("after".utf8).withUnsafeBytes(after.copyIn) else { return "no room in a batch" }
        after.append(RecordEntry(start: start, length: 5))
        try Self.store(after, in: spool)
        spool.close()
        spool = try Spool.open(Self.configuration(disk), logger: Self.quiet)
        let again = try Self.read(spool)
        spool.close()
        guard again.elementsEqual(kept + [(statistics.nextSequence, Array("after".utf8))], by: ==) else {
            return "after another start, \(again.map(\.0)) are left"
        }
        return nil
    }

    private static func read(_ spool: Spool) throws -> [(UInt64, [UInt8])] {
        var records: [(UInt64, [UInt8])] = []
        let reader = try spool.reader(from: spool.statistics().firstSequence)
        while let frame = try reader.next() {
            for index in frame.startIndex..<frame.recordCount {
                records.append((frame.firstSequence + UInt64(index), Array(frame.body(index))))
            }
        }
        return records
    }

    private func spoil(_ bytes: [UInt8], _ place: Place) -> [UInt8] {
        var bytes = bytes
        switch place.kind {
        case .flip: bytes[place.offset] ^= 0x10
        case .zero: for index in zeroed(bytes.count, place) { bytes[index] = 0 }
        case .cut: bytes.removeSubrange(place.offset...)
        }
        return bytes
    }

    private func zeroed(_ count: Int, _ place: Place) -> Range<Int> {
        place.offset..<min(count, place.offset + Self.zeroed)
    }

    /// Whether a byte of the frame is another.
    private func isHit(_ frame: Frame, _ place: Place) -> Bool {
        guard let bytes = files.first(where: { $0.name == place.file })?.bytes else { return false }
        switch place.kind {
        case .flip: return frame.bytes.contains(place.offset)
        case .zero: return zeroed(bytes.count, place).clamped(to: frame.bytes).contains { bytes[$0] != 0 }
        case .cut: return frame.bytes.upperBound > place.offset
        }
    }

    private func put(_ bytes: [UInt8], _ name: String, _ disk: SimulatedDisk) {
        let file = CInt(disk.open("\(Self.directory)/\(name)", O_RDWR | O_CREAT))
        var bytes = bytes
        bytes.withUnsafeMutableBytes { bytes in
            var vector = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            withUnsafePointer(to: &vector) { _ = disk.write(file, UnsafeBufferPointer(start: $0, count: 1), at: 0) }
        }
        _ = disk.syncData(file)
        disk.close(file)
    }
}
