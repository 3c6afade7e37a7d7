import TailraceSpool
import TestSupport

/// Brings records of several sources. Those that can be read again begin where the spool says.
final class WorldInput {
    private let sources: [WorldPlan.Source]
    private let spool: Spool
    private let largestBody: Int
    /// Bodies tell the ids that the spool gives their records.
    private let writesIDs: Bool
    private var random: SeededGenerator
    private var batchesLeft: Int
    private var next: [Int]
    private let append: (_ records: [WorldRecord], _ first: UInt64, _ position: Int?) -> Void
    /// By source, as found.
    let positions: [Int: Int]
    /// Numbers of sources that cannot be read again go on from life to life: each record is its own.
    private static let lifeSize = 100_000

    init(
        _ sources: [WorldPlan.Source], _ spool: Spool, batches: Int, largestBody: Int, writesIDs: Bool, seed: UInt64,
        append: @escaping (_ records: [WorldRecord], _ first: UInt64, _ position: Int?) -> Void
    ) {
        self.sources = sources
        self.spool = spool
        self.largestBody = largestBody
        self.writesIDs = writesIDs
        self.append = append
        random = SeededGenerator(seed: seed)
        batchesLeft = batches
        let positions = Self.decode(spool.positions())
        self.positions = positions
        let fresh = Int.random(in: 1...1000, using: &random) * Self.lifeSize
        next = sources.indices.map { sources[$0].isDelayable ? positions[$0, default: 0] : fresh }
    }

    static func encode(_ position: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: position >> ($0 * 8)) } }

    static func decode(_ positions: [SourceKey: [UInt8]]) -> [Int: Int] {
        var decoded: [Int: Int] = [:]
        for (key, value) in positions {
            guard let source = key.bytes.first else { continue }
            decoded[Int(source)] = value.reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        return decoded
    }

    var isOver: Bool { batchesLeft == 0 }

    func step(now: UInt64) -> StepResult<UInt64> {
        guard batchesLeft > 0 else { return .wait(until: nil) }
        let source = Int.random(in: 0..<sources.count, using: &random)
        let count = Int.random(in: 1...8, using: &random)
        let records = (0..<count).map { offset in
            let number = next[source] + offset
            let every = sources[source].poisonEvery
            return WorldRecord(source: source, number: number, isPoison: every > 0 && number % every == every - 1)
        }
        let isDelayable = sources[source].isDelayable
        let end = next[source] + count
        let first = spool.statistics().nextSequence
        let isTaken = spool.tryAppend(batch(records, first: first, position: isDelayable ? end : nil))
        if isTaken { append(records, first, isDelayable ? end : nil) }
        if isTaken || !isDelayable {
            // What cannot wait is gone.
            next[source] = end
            batchesLeft -= 1
        }
        return isTaken ? .again : .wait(until: now + 5_000_000)
    }

    private func batch(_ records: [WorldRecord], first: UInt64, position: Int?) -> RecordBatch {
        let bodies = records.enumerated().map { offset, record in
            record.body(
                id: writesIDs ? first + UInt64(offset) : nil, padding: Int.random(in: 0...largestBody, using: &random))
        }
        let batch = RecordBatch(capacity: bodies.reduce(0) { $0 + $1.count })
        for body in bodies {
            guard let start = body.withUnsafeBytes(batch.copyIn) else { preconditionFailure("the batch has room") }
            batch.append(RecordEntry(start: start, length: UInt32(body.count)))
        }
        let source = records[0].source
        batch.context = RecordContext(host: "h", source: "\(source)", input: "i").encoded
        if let position {
            batch.position = SourcePosition(source: SourceKey([UInt8(source)]), value: Self.encode(position))
        }
        return batch
    }
}
