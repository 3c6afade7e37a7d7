internal import Pulsar

/// What a topic remembers of its producers to tell a message that was sent again from a new one (section "Broker
/// deduplication" of Pulsar's protocol notes, after the broker's MessageDeduplication).
///
/// By name, two numbers: the highest id that was *pushed* to storage, and the highest that is *persisted* there. Ids are
/// compared as signed 64-bit numbers, and only their order counts: gaps are fine, contents are never looked at.
struct Deduplication {
    enum Decision: Equatable {
        case store
        /// Stored before; a success for the client.
        case duplicate
        /// Pushed, but not persisted yet: its write may still fail.
        case unknown
    }

    private var pushed: [String: Int64] = [:]
    private var persisted: [String: Int64] = [:]

    /// A message or batch that came in; a batch is decided by its lowest id, as a whole.
    mutating func receive(from name: String, sequenceID: Int64, highest: Int64) -> Decision {
        if let last = pushed[name], sequenceID <= last {
            return sequenceID <= persisted[name] ?? -1 ? .duplicate : .unknown
        }
        pushed[name] = max(highest, sequenceID)
        return .store
    }

    /// What `receive` let through is stored, or was found in the store.
    mutating func stored(from name: String, sequenceID: Int64, highest: Int64) {
        let id = max(highest, sequenceID, persisted[name] ?? -1)
        persisted[name] = id
        pushed[name] = max(id, pushed[name] ?? -1)
    }

    /// Writes failed: what was pushed beyond the store never came there.
    mutating func writesFailed() { pushed = persisted }

    /// The highest id that is stored; -1: none of that name.
    func lastSequenceID(of name: String) -> Int64 { persisted[name] ?? -1 }
}
