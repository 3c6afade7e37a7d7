/// Partitions whose lanes are full while others want for records. The drain goes on without them: what it meets of
/// theirs is passed over, and read again from the spool once they have room.
struct Laggards {
    private struct Place {
        /// The first id that was passed over.
        var next: UInt64
        /// How many records were.
        var records: UInt64
    }

    private var places: [Int: Place] = [:]

    var isEmpty: Bool { places.isEmpty }
    var partitions: some Sequence<Int> { places.keys }

    /// Records that were passed over, of all of them.
    var records: UInt64 { places.values.reduce(0) { $0 + $1.records } }

    /// How many of a partition's records were passed over; nil when it keeps up.
    func records(of partition: Int) -> UInt64? { places.isEmpty ? nil : places[partition]?.records }

    /// The lowest id that was passed over.
    var floor: UInt64? { places.values.lazy.map(\.next).min() }

    /// The first id of a partition that was passed over; nil when it keeps up.
    func next(_ partition: Int) -> UInt64? { places[partition]?.next }

    /// From `next` on, a partition's records are passed over.
    mutating func add(_ partition: Int, next: UInt64) { places[partition] = Place(next: next, records: 0) }

    /// So many more of its records are.
    mutating func pass(_ partition: Int, records: UInt64) { places[partition]?.records += records }

    /// So many of those were put into batches, up to the id before `next`.
    mutating func place(_ partition: Int, records: UInt64, next: UInt64) {
        guard var place = places[partition] else { return }
        precondition(records <= place.records, "more records are read again than were passed over")
        place.records -= records
        place.next = next
        places[partition] = place
    }

    /// It has caught up. Returns how many of its records were not found again: they were lost to damage meanwhile.
    mutating func remove(_ partition: Int) -> UInt64 { places.removeValue(forKey: partition)?.records ?? 0 }
}
