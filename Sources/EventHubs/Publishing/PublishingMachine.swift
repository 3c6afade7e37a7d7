/// Numbers the batches of one partition and knows, after every loss of a link, which of them the service has: a value
/// without IO.
///
/// A batch keeps its number from its first transmission until the service has it, refuses it for good, or it is
/// abandoned. Batches are told in the order in which they shall be stored; one that failed must come again, in its
/// place, or be abandoned, for those behind it cannot be stored before it.
struct PublishingMachine<Batch: AnyObject> {
    /// What to do with a batch now.
    enum Preparation: Equatable {
        case send(PublishingStamp)
        /// The service has it: an earlier transmission arrived.
        case stored
        /// When the one in flight has ended: ask again if it did well, fail as it did otherwise.
        case later
        case failed(EventHubsError, SendResult.Prospect)
    }

    private struct Entry {
        let batch: Batch
        let count: Int
        let first: Int32
        var isInFlight = true
        /// A transmission of it ended without an answer.
        var isUnknown = false
        /// It was compared with what the service has, after the service said that it is out of order.
        var isCompared = false

        var last: Int32 { PublishingNumber.advanced(first, by: count - 1) }
    }

    /// What a new link revealed.
    enum Discovery: Equatable {
        case nothing
        /// The service knows less than it has confirmed: what is outstanding is numbered anew and may be stored twice.
        case forgotten(confirmed: Int32, last: Int32)
    }

    private let options: PublishingOptions
    /// Confirmed by the service; nil: no link was attached yet.
    private(set) var state: PublishingState?
    /// Numbered and neither accepted nor refused, in the order of their numbers.
    private var entries: [Entry] = []
    /// Batches that a new link showed to be stored, and whose owners do not know it yet.
    private var stored: [Batch] = []
    /// The last number given out.
    private var cursor = PublishingNumber.none
    /// The last number before those that are given out and not accepted. The ring has no absolute order: everything is
    /// counted from here.
    private var base = PublishingNumber.none
    /// The service has taken a batch of this producer at this owner level. Before that it may take any number for the first
    /// one, so the first batch travels alone: one that overtook it would make it a duplicate.
    private(set) var isEstablished = false
    /// A batch whose fate is unknown was abandoned. Its numbers can only be used again once the service cannot store the
    /// old bytes any more, which the next attach makes sure of by a higher owner level.
    private var hasAbandoned = false

    init(_ options: PublishingOptions) { self.options = options }

    /// Batches that hold numbers.
    var outstanding: Int { entries.count }

    // MARK: - Links

    /// What the next attach asks for. The service knows best where it stands, so its number is never told.
    var request: PublishingOptions {
        guard let state else { return options }
        return PublishingOptions(
            producerGroupID: state.producerGroupID,
            ownerLevel: hasAbandoned && state.ownerLevel < .max ? state.ownerLevel + 1 : state.ownerLevel)
    }

    /// A link is attached, and no other is any more: nothing is in flight.
    mutating func attached(_ granted: PublishingState) throws(EventHubsError) -> Discovery {
        let last = granted.lastSequenceNumber
        guard let state else {
            self.state = granted
            cursor = last
            base = last
            return .nothing
        }
        guard granted.producerGroupID == state.producerGroupID else {
            throw EventHubsError(
                .protocolViolation,
                "the service was asked for producer group id \(state.producerGroupID) and gave"
                    + " \(granted.producerGroupID)")
        }
        let known = PublishingNumber.distance(from: base, to: last)
        if known > PublishingNumber.distance(from: base, to: cursor)
            || known < PublishingNumber.distance(from: base, to: state.lastSequenceNumber)
        {
            guard last < 0 || PublishingNumber.isAtOrBefore(last, state.lastSequenceNumber) else {
                throw EventHubsError(
                    .outOfOrderSequence,
                    "the service's last sequence number is \(last), and this client published none beyond \(cursor):"
                        + " somebody else publishes with producer group id \(state.producerGroupID); give each producer"
                        + " an id of its own")
            }
            release(from: 0, after: last)
            hasAbandoned = false
            isEstablished = false
            base = last
            self.state = granted
            return .forgotten(confirmed: state.lastSequenceNumber, last: last)
        }
        var done = 0
        for entry in entries {
            let begin = PublishingNumber.distance(from: base, to: entry.first)
            guard begin <= known else { break }
            guard begin + entry.count - 1 <= known else {
                throw EventHubsError(
                    .outOfOrderSequence,
                    "the service has the first events of a batch, up to the sequence number \(last), but not the rest of"
                        + " it: it begins at \(entry.first) and ends at \(entry.last)")
            }
            done += 1
        }
        stored += entries[..<done].map(\.batch)
        entries.removeSubrange(..<done)
        if hasAbandoned {
            // Nothing that was sent before can be stored any more.
            release(from: 0, after: last)
            hasAbandoned = false
        }
        base = last
        isEstablished = granted.ownerLevel == state.ownerLevel && (isEstablished || done > 0)
        self.state = granted
        return .nothing
    }

    // MARK: - Batches

    /// A batch shall be transmitted over the link that was attached last.
    mutating func prepare(_ batch: Batch, count: Int) -> Preparation {
        guard let state else { preconditionFailure("a batch is sent over a link that was not attached") }
        if let index = stored.firstIndex(where: { $0 === batch }) {
            stored.remove(at: index)
            return .stored
        }
        guard isEstablished || !entries.contains(where: \.isInFlight) else { return .later }
        if let index = index(of: batch) {
            precondition(!entries[index].isInFlight, "a batch is published while it is in flight")
            entries[index].isInFlight = true
            return .send(stamp(entries[index], state))
        }
        guard count > 0 else {
            return .failed(
                EventHubsError(.invalidArgument, "a batch without events cannot be published"), .batchRefused)
        }
        let entry = Entry(batch: batch, count: count, first: PublishingNumber.next(cursor))
        cursor = entry.last
        entries.append(entry)
        return .send(stamp(entry, state))
    }

    private func stamp(_ entry: Entry, _ state: PublishingState) -> PublishingStamp {
        PublishingStamp(
            producerGroupID: state.producerGroupID, ownerLevel: state.ownerLevel, firstNumber: entry.first)
    }

    /// A transmission ended. Returns what that means for the batch's owner, and whether the link must be attached anew
    /// to learn where the service stands.
    mutating func finished(_ batch: Batch, _ result: SendResult) -> (result: SendResult, reattach: Bool) {
        guard let index = index(of: batch) else {
            // A batch before it was refused while this one was in flight: it cannot have been stored, and gets a new number.
            guard case .failed(let error, _) = result, error.code == .outOfOrderSequence else { return (result, false) }
            return (.failed(error, .retriable(after: .zero)), false)
        }
        entries[index].isInFlight = false
        guard case .failed(let error, let prospect) = result else {
            accepted(index)
            return (result, false)
        }
        if error.code == .outOfOrderSequence {
            // Behind one that failed that is to be expected.
            if index > 0 { return (.failed(error, .retriable(after: .zero)), false) }
            guard entries[0].isCompared else {
                entries[0].isCompared = true
                return (.failed(error, .retriable(after: .zero)), true)
            }
            entries[0].isCompared = false
            return (result, false)
        }
        switch prospect {
        case .batchRefused: release(from: index, after: Self.before(entries[index].first))
        case .unknown: entries[index].isUnknown = true
        case .retriable, .blocked: break
        }
        return (result, false)
    }

    /// The service stores in order: with this one it has everything before.
    private mutating func accepted(_ index: Int) {
        let last = entries[index].last
        entries.remove(at: index)
        isEstablished = true
        guard let confirmed = state?.lastSequenceNumber else { return }
        if PublishingNumber.distance(from: base, to: last) > PublishingNumber.distance(from: base, to: confirmed) {
            state?.lastSequenceNumber = last
        }
        if index == 0 { base = entries.first.map { Self.before($0.first) } ?? state?.lastSequenceNumber ?? last }
    }

    /// The owner of a batch gives it up: it will not come again. True: the link must be attached anew before the next
    /// batch.
    mutating func abandon(_ batch: Batch) -> Bool {
        if let index = stored.firstIndex(where: { $0 === batch }) { stored.remove(at: index) }
        guard let index = index(of: batch) else { return false }
        guard entries[index].isUnknown || entries[index].isInFlight else {
            // The service does not have it, so it has none of those behind it.
            release(from: index, after: Self.before(entries[index].first))
            return false
        }
        entries.remove(at: index)
        hasAbandoned = true
        return true
    }

    private func index(of batch: Batch) -> Int? { entries.firstIndex { $0.batch === batch } }

    /// Takes the numbers of these batches back: the next one begins behind `last`.
    private mutating func release(from index: Int, after last: Int32) {
        entries.removeSubrange(index...)
        cursor = last
    }

    /// The number before `first`; for 0, the largest, which is as good as -1.
    private static func before(_ first: Int32) -> Int32 { PublishingNumber.advanced(first, by: Int(Int32.max)) }
}
