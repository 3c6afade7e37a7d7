import Pulsar

/// A broker's side of one topic and one producer name: what is stored, and what it remembers of it.
struct SimulatedTopic {
    enum Answer {
        case receipt(UInt64, SendPosition)
        case refusal(UInt64, PulsarError.Code)
    }

    let deduplicates: Bool
    /// The ranges of ids, in the order of storing.
    private(set) var log: [ClosedRange<UInt64>] = []
    private var pushed: Int64 = -1
    private(set) var persisted: Int64 = -1
    /// Writes under way: their range, and the connection that is told.
    private var writes: [(ids: ClosedRange<UInt64>, attempt: UInt64)] = []

    init(deduplicates: Bool) { self.deduplicates = deduplicates }

    var lastSequenceID: Int64 { deduplicates ? persisted : -1 }
    var hasWrites: Bool { !writes.isEmpty }

    /// A SEND arrives. Nil: the answer comes with the write's end.
    mutating func receive(_ send: SealedSend, attempt: UInt64) -> Answer? {
        let (first, last) = (Int64(send.firstID), Int64(send.lastID))
        if deduplicates, first <= pushed {
            guard first <= persisted else { return .refusal(send.lastID, .brokerPersistence) }
            return .receipt(send.firstID, .duplicate)
        }
        pushed = max(pushed, last)
        writes.append((send.firstID...send.lastID, attempt))
        return nil
    }

    /// The oldest write ends. The topic is fenced when it fails: those behind it fail too.
    mutating func endWrite(succeeds: Bool) -> [(attempt: UInt64, answer: Answer)] {
        guard !writes.isEmpty else { return [] }
        guard succeeds else {
            defer { writes = [] }
            pushed = persisted
            return writes.map { ($0.attempt, .refusal($0.ids.upperBound, .brokerPersistence)) }
        }
        let (ids, attempt) = writes.removeFirst()
        log.append(ids)
        persisted = max(persisted, Int64(ids.upperBound))
        return [(attempt, .receipt(ids.lowerBound, SendPosition(ledgerID: 1, entryID: Int64(log.count))))]
    }
}
