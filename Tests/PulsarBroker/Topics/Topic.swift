internal import NIOCore
internal import Pulsar

/// One concrete topic: a topic without partitions, or one partition. Lives on the broker's event loop.
final class Topic {
    enum Outcome {
        case stored(entry: Int)
        case duplicate
        /// Cannot be told: its first copy is not persisted yet.
        case unknown
        case failed(String)
    }

    private struct Write {
        var entry: FramePayload
        var name: String
        var sequenceID: Int64
        var highest: Int64
        var isCounted: Bool
        var then: (Outcome) -> Void
    }

    let name: String
    /// One ledger for the topic's life, a number made from its name: positions survive a restart.
    let ledgerID: Int64
    let log: any TopicEntries
    /// Nil: off.
    private var deduplication: Deduplication?
    var admission = ProducerAdmission()
    var schemas = SchemaRegistry()
    var isTerminated = false
    var subscriptions: [String: Subscription] = [:]
    private(set) var duplicates = 0
    /// Called after writes failed: whatever their producers had sent behind them must not be stored before these are sent
    /// again, or it would make duplicates of them.
    private let failed: (Topic) -> Void
    /// Writes wait while a fault script says so.
    private var isStalled = false
    private var stalled: [Write] = []
    /// Its broker is no more.
    private var isAbandoned = false

    /// - Parameter memory: where its entries are; nil: in the directory.
    init(
        name: String, directory: String, memory: BrokerMemory?, deduplicates: Bool, failed: @escaping (Topic) -> Void
    ) throws {
        self.name = name
        self.failed = failed
        var checksum = CRC32C()
        checksum.update(ByteBuffer(string: name))
        ledgerID = Int64(checksum.value)
        var found = Deduplication()
        func find(_ entry: FramePayload) {
            guard let metadata = try? entry.metadata(), Self.counts(metadata) else { return }
            found.stored(
                from: metadata.producerName, sequenceID: Int64(bitPattern: metadata.sequenceID),
                highest: Int64(bitPattern: metadata.highestSequenceID ?? 0))
        }
        if let memory {
            log = memory.log(of: name)
            for index in 0..<log.count { find(try log.entry(index)) }
        } else {
            log = try TopicLog(path: "\(directory)/\(TopicFileName.name(of: name))", found: find)
        }
        deduplication = deduplicates && !name.hasPrefix("non-persistent:") ? found : nil
    }

    /// Of a message in chunks, only the last chunk is looked at.
    private static func counts(_ metadata: MessageMetadata) -> Bool {
        guard let chunk = metadata.chunkID, let chunks = metadata.numChunksFromMsg else { return true }
        return chunk == chunks - 1
    }

    func lastSequenceID(of name: String) -> Int64 { deduplication?.lastSequenceID(of: name) ?? -1 }

    /// - Parameter then: called at once, or when writes go on.
    func store(_ entry: FramePayload, _ command: SendCommand, from name: String, then: @escaping (Outcome) -> Void) {
        guard !isAbandoned else { return }
        let sequenceID = Int64(bitPattern: command.sequenceID)
        let highest = max(sequenceID, Int64(bitPattern: command.highestSequenceID ?? 0))
        let isCounted = command.isChunk != true || (try? entry.metadata()).map(Self.counts) ?? true
        if isCounted, let decision = deduplication?.receive(from: name, sequenceID: sequenceID, highest: highest) {
            switch decision {
            case .store: break
            case .duplicate:
                duplicates += 1
                return then(.duplicate)
            case .unknown: return then(.unknown)
            }
        }
        let write = Write(
            entry: entry, name: name, sequenceID: sequenceID, highest: highest, isCounted: isCounted, then: then)
        if isStalled { stalled.append(write) } else { perform(write) }
    }

    /// Its broker is no more: nothing happens to it any longer.
    ///
    /// - Parameter writes: so many of those that wait reach the store, at most, and nobody hears of them.
    func abandon(keeping writes: Int) {
        for write in stalled.prefix(writes) { _ = try? log.append(write.entry) }
        stalled = []
        isAbandoned = true
    }

    private func perform(_ write: Write) {
        do {
            let entry = try log.append(write.entry)
            if write.isCounted {
                deduplication?.stored(from: write.name, sequenceID: write.sequenceID, highest: write.highest)
            }
            write.then(.stored(entry: entry))
        } catch {
            deduplication?.writesFailed()
            write.then(.failed("\(error)"))
            failed(self)
        }
        for subscription in subscriptions.values { subscription.dispatch() }
    }

    /// What comes from now on is pushed, but not persisted.
    func stallWrites() { isStalled = true }

    /// Writes what waited; or, as after a failure of the storage, drops it.
    func resumeWrites(dropping: Bool = false) {
        guard isStalled else { return }
        isStalled = false
        let writes = stalled
        stalled = []
        guard dropping else {
            for write in writes { perform(write) }
            return
        }
        deduplication?.writesFailed()
        for write in writes { write.then(.failed("the write failed")) }
        if !writes.isEmpty { failed(self) }
    }

    func position(_ entry: Int) -> MessageIDData {
        MessageIDData(ledgerID: ledgerID, entryID: Int64(entry), partition: -1)
    }
}
