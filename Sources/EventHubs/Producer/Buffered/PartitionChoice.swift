internal import Producing
import Synchronization

/// The partitions of a hub, in the service's order, which keys are hashed into.
final class PartitionTable: Sendable {
    typealias Partition = EventHubBufferedProducerClient.Producer.Runner

    let ids: [String]
    let indices: [String: Int]
    let partitions: [Partition]
    /// The same. Their timers refer to them weakly, which makes counting references slow.
    private let uncounted: [Unmanaged<Partition>]
    /// The table before the hub had got more partitions: kept, because somebody may be reading it.
    private let previous: PartitionTable?

    init(_ ids: [String], _ partitions: [Partition], previous: PartitionTable?) {
        precondition(ids.count == partitions.count && !ids.isEmpty)
        self.ids = ids
        self.partitions = partitions
        uncounted = partitions.map(Unmanaged.passUnretained)
        self.previous = previous
        indices = Dictionary(ids.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// `Partition.add` of the partition with this index.
    func add(_ item: BufferedEvent, to index: Int) throws(EventHubsError) -> Partition.Buffer.Admission {
        let result = uncounted[index]._withUnsafeGuaranteedRef { partition in
            Result { () throws(EventHubsError) in try partition.add(item) }
        }
        return try result.get()
    }
}

/// Which partition an event goes to. Every event asks, so that takes no lock.
final class PartitionChoice: Sendable {
    private let eventHubName: String
    private let partitioner: PartitionKeyHash
    private let current = Atomic<Unmanaged<PartitionTable>?>(nil)
    private let turn = Atomic<UInt>(0)

    init(eventHubName: String, partitioner: PartitionKeyHash) {
        self.eventHubName = eventHubName
        self.partitioner = partitioner
    }

    deinit { current.load(ordering: .acquiring)?.release() }

    /// The newest one; nil: the partitions are not known yet.
    var table: PartitionTable? { current.load(ordering: .acquiring)?.takeUnretainedValue() }

    /// For one caller at a time: a table that has the one before as its `previous`.
    func use(_ table: PartitionTable) {
        current.exchange(.passRetained(table), ordering: .acquiringAndReleasing)?.release()
    }

    /// The partition of an event, and the key to annotate on it.
    func place(
        _ table: PartitionTable, _ event: EventData, _ partitionID: String?, _ partitionKey: String?
    ) throws(EventHubsError) -> (index: Int, key: String?) {
        if partitionID == nil, partitionKey == nil, event.isPlain { return (nextInTurn(table), nil) }
        let (id, key) = try EventHubProducerClient.place(partitionID, partitionKey)
        if let key { try event.checkKey(key) }
        return (try place(table, id, id == nil ? key ?? event.partitionKey : nil), key)
    }

    func place(_ table: PartitionTable, _ id: String?, _ key: String?) throws(EventHubsError) -> Int {
        if let id {
            guard let index = table.indices[id] else {
                throw EventHubsError(noPartition: id, of: eventHubName, table.ids)
            }
            return index
        }
        guard let key else { return nextInTurn(table) }
        return partitioner.index(of: key, partitionCount: table.partitions.count)
    }

    private func nextInTurn(_ table: PartitionTable) -> Int {
        Int(turn.wrappingAdd(1, ordering: .relaxed).oldValue % UInt(table.partitions.count))
    }
}
