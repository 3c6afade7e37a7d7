import TailraceDelivery
import TailraceSpool

/// Batches of a world's records: 10 bytes each, and 20 and its body per record.
struct WorldEncoder: BatchEncoder {
    final class Batch: @unchecked Sendable {
        let records: [Numbered]
        /// The first number that the service is to know it by, and how many refusals there had been when it was given.
        var number: (first: Int64, round: Int)?

        init(_ records: [Numbered]) { self.records = records }
    }

    let limit: Int
    private(set) var size = 0
    private var records: [Numbered] = []

    init(limit: Int) { self.limit = limit }

    func prepare(_ context: RecordContext, key: String) -> String { key }

    mutating func begin(_ header: String) {
        records = []
        size = 10
    }

    mutating func append(_ run: RecordRun, _ header: String) -> Int {
        var taken = 0
        for index in run.indices {
            let record = run[index]
            guard size + 20 + record.body.count <= limit else { break }
            add(record, record.body.count)
            taken += 1
        }
        return taken
    }

    mutating func appendCut(_ record: DeliveryRecord, _ header: String) -> Int? {
        let room = limit - size - 20
        guard room >= WorldRecord.size else { return nil }
        add(record, room)
        return room
    }

    private mutating func add(_ record: DeliveryRecord, _ bytes: Int) {
        guard let decoded = WorldRecord(record.body) else { preconditionFailure("not a record of a world") }
        records.append(Numbered(id: record.sequence, record: decoded))
        size += 20 + bytes
    }

    mutating func seal() -> Batch {
        defer { size = 0 }
        return Batch(records)
    }

    mutating func reuse(_ batch: Batch) {}
}
