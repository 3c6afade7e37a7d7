import Glibc
import TestSupport
import Testing

@testable import TailraceSpool

/// The power goes while a sync is running: what was written since the last sync may be on the disk, or not, or torn,
/// sector by sector and in any order.
@Suite struct PowerCutTests {
    private static let sector = 512

    /// What the disk may hold: `old` is durable, `new` was written.
    private func crash(_ old: Snapshot, _ new: Snapshot, _ generator: inout SeededGenerator) -> Snapshot {
        var disk = old
        // How likely a written sector is to have arrived, and whether some are torn.
        let arrival = [0, 10, 50, 90, 100].randomElement(using: &generator) ?? 50
        let isTearing = Bool.random(using: &generator)
        for (index, file) in disk.files.enumerated() {
            guard let after = new.files.first(where: { $0.name == file.name })?.bytes,
                after.count == file.bytes.count
            else { continue }
            var bytes = file.bytes
            for start in stride(from: 0, to: bytes.count, by: Self.sector) {
                let range = start..<min(bytes.count, start + Self.sector)
                guard bytes[range] != after[range] else { continue }
                if isTearing, Int.random(in: 0..<10, using: &generator) == 0 {
                    // Half of the new sector, and half of the old one.
                    let middle = Int.random(in: range, using: &generator)
                    bytes.replaceSubrange(start..<middle, with: after[start..<middle])
                } else if Int.random(in: 0..<100, using: &generator) < arrival {
                    bytes.replaceSubrange(range, with: after[range])
                }
            }
            disk.files[index].bytes = bytes
        }
        return disk
    }

    /// Each source numbers its records; its position is the number of the last one.
    private struct Sources {
        var next: [String: Int] = [:]

        mutating func batch(_ generator: inout SeededGenerator) -> RecordBatch {
            let name = "source \(Int.random(in: 0..<3, using: &generator))"
            let first = next[name] ?? 0
            let count = Int.random(in: 1...4, using: &generator)
            next[name] = first + count
            let texts = (first..<(first + count)).map {
                "\(name)/\($0)/" + String(repeating: "x", count: Int.random(in: 0...400, using: &generator))
            }
            return TailraceSpoolTests.batch(texts, source: name, position: "\(first + count - 1)")
        }
    }

    @Test(arguments: [21, 22, 0])
    func positionsNeverPassRecordsThatAreNotThere(_ seed: UInt64) throws {
        var generator = seed == 0 ? SeededGenerator.fresh("positionsNeverPass") : SeededGenerator(seed: seed)
        let directory = TemporaryDirectory()
        let gate = Gate()
        var settings = configuration(directory, segment: 32 << 10, maximum: 4 << 20)
        settings.environment.disk = FaultyDisk { operation, path in
            if operation == .sync, path.hasSuffix(".spool") { gate.pass() }
            return 0
        }
        var used: UInt64 = 0
        for round in 0..<40 {
            let what: Comment = "seed \(generator.seed) round \(round)"
            let spool = try openSpool(settings)
            // What was visible before is there, and each source has exactly the records that its position covers.
            #expect(spool.committed >= used, what)
            #expect(spool.statistics().quarantinedRecords == 0 && spool.recovery.lostRecords == 0, what)
            var sources = Sources()
            let records = try readAll(spool)
            for record in records {
                let parts = String(decoding: record.body, as: UTF8.self).split(separator: "/")
                let name = String(parts[0])
                #expect(Int(parts[1]) == sources.next[name] ?? 0, what)
                sources.next[name] = (sources.next[name] ?? 0) + 1
            }
            for name in ["source 0", "source 1", "source 2"] {
                let position = spool.positions()[key(name)].map { String(decoding: $0, as: UTF8.self) }
                #expect(position == sources.next[name].map { "\($0 - 1)" }, what)
            }
            // Something durable, so that the segment stands; then a group whose sync hangs while more is written.
            for _ in 0..<Int.random(in: 1...6, using: &generator) { try spool.append(sources.batch(&generator)) }
            #expect(spool.flush(), what)
            used = spool.committed
            var durable = Snapshot(settings.directory)
            gate.close()
            try spool.append(sources.batch(&generator))
            gate.awaitVisitor()
            let more = Int.random(in: 0...8, using: &generator)
            for _ in 0..<more { try spool.append(sources.batch(&generator)) }
            if more > 0, Bool.random(using: &generator) {
                // The first group's sync comes back, and the power goes during the second's.
                durable = Snapshot(settings.directory)
                gate.letOnePass()
                gate.awaitVisitor()
            }
            let written = Snapshot(settings.directory)
            gate.open()
            spool.abandon()
            crash(durable, written, &generator).restore(to: settings.directory)
        }
    }
}
