internal import AMQP
import EventHubs
internal import TailraceSpool

/// The idempotent producers of one partition: a value without clock, links or disk.
///
/// Every change comes out as a `SourcePosition`, to be stored in the frame of the events that caused it. So the table can
/// always be made again from the stored partition, and the two cannot disagree.
struct ProducerTable {
    struct Producer: Equatable {
        var epoch: Int16
        /// The last number that was taken for storing; -1: none yet.
        var last: Int32
        /// It has published under this number: one that was only told its number may begin with it as well as with the next,
        /// for the official Python client's beta begins so, and the others with the next.
        var hasPublished = false
        /// Milliseconds since 1970: those who published longest ago are forgotten first.
        var lastUse: Int64
    }

    /// What an attach asks for; nil: the service chooses.
    struct Request: Equatable {
        var producerID: Int64?
        var epoch: Int16?
        var last: Int32?

        init(producerID: Int64? = nil, epoch: Int16? = nil, last: Int32? = nil) {
            self.producerID = producerID
            self.epoch = epoch
            self.last = last
        }

        /// From the properties of an attach: none of the three, or all three, null for what the service shall choose.
        init(_ properties: AMQPMap) throws(AMQPError) {
            let names = [
                EventHubsName.producerID, EventHubsName.producerEpoch, EventHubsName.producerSequenceNumber,
            ]
            let values = names.compactMap { properties[symbol: $0] }
            guard !values.isEmpty else { return }
            guard values.count == names.count else {
                throw AMQPError(
                    AMQPCondition.invalidField, "of \(names.joined(separator: ", ")) all are given or none")
            }
            switch values[0] {
            case .null: break
            case .long(let id): producerID = id
            default: throw AMQPError(AMQPCondition.invalidField, "\(names[0]) is no long")
            }
            switch values[1] {
            case .null: break
            case .short(let epoch): self.epoch = epoch
            default: throw AMQPError(AMQPCondition.invalidField, "\(names[1]) is no short")
            }
            switch values[2] {
            case .null: break
            case .int(let last): self.last = last
            default: throw AMQPError(AMQPCondition.invalidField, "\(names[2]) is no int")
            }
        }
    }

    /// What it gets.
    struct Grant: Equatable {
        var producerID: Int64
        var epoch: Int16
        /// The last number stored; -1: none.
        var last: Int32
        /// To be stored before the grant is told; nil: nothing changed.
        var change: SourcePosition?
        /// To be stored before that: producers that made room.
        var forgotten: [SourcePosition] = []
    }

    enum Verdict: Equatable {
        /// Store it, with this.
        case store(SourcePosition)
        /// It is stored already: accept it once everything before it is durable.
        case duplicate
        case refused(AMQPError)
    }

    private(set) var producers: [Int64: Producer] = [:]
    let limit: Int
    private let countsAnew: Bool

    /// - Parameters:
    ///   - countsAnew: a higher epoch begins again before the first number.
    ///   - positions: what the stored partition says.
    init(limit: Int, countsAnew: Bool = false, positions: [SourceKey: [UInt8]] = [:]) {
        self.limit = limit
        self.countsAnew = countsAnew
        for (key, value) in positions {
            guard let id = Self.id(key), let producer = Self.producer(value) else { continue }
            producers[id] = producer
        }
    }

    // MARK: - Events

    /// A link wants to publish. Its number is taken for a producer that is new here or comes with a higher epoch;
    /// otherwise the numbers that were stored say where it stands, for an older number of the client's own would let
    /// events be stored twice.
    mutating func attach(
        _ request: Request, now: Int64, newID: () -> Int64, isAttached: (Int64) -> Bool
    ) -> Result<Grant, AMQPError> {
        var id = request.producerID
        if let last = request.last, last < PublishingNumber.none {
            return .failure(AMQPError(AMQPCondition.invalidField, "producer-sequence-number is less than -1"))
        }
        if let epoch = request.epoch, epoch < 0 {
            return .failure(AMQPError(AMQPCondition.invalidField, "producer-epoch is negative"))
        }
        while id == nil {
            let candidate = newID()
            if producers[candidate] == nil { id = candidate }
        }
        guard let id else { preconditionFailure("an id was just made") }
        if let known = producers[id] {
            let epoch = request.epoch ?? known.epoch
            guard epoch >= known.epoch else {
                return .failure(
                    AMQPError(
                        Self.epochStolen,
                        "producer \(id) was attached with the epoch \(known.epoch), which is higher than \(epoch)"))
            }
            guard epoch > known.epoch else {
                return .success(Grant(producerID: id, epoch: epoch, last: known.last))
            }
            let producer = Producer(
                epoch: epoch, last: request.last ?? (countsAnew ? PublishingNumber.none : known.last),
                hasPublished: request.last == nil && !countsAnew && known.hasPublished, lastUse: now)
            producers[id] = producer
            return .success(
                Grant(producerID: id, epoch: epoch, last: producer.last, change: Self.position(id, producer)))
        }
        var forgotten: [SourcePosition] = []
        while producers.count >= limit {
            let idle = producers.filter { !isAttached($0.key) }
            guard let oldest = idle.min(by: { ($0.value.lastUse, $0.key) < ($1.value.lastUse, $1.key) })?.key else {
                return .failure(
                    AMQPError(
                        AMQPCondition.resourceLimitExceeded,
                        "at most \(limit) idempotent producers may publish to a partition"))
            }
            producers[oldest] = nil
            forgotten.append(SourcePosition(source: Self.key(oldest), value: []))
        }
        let producer = Producer(epoch: request.epoch ?? 0, last: request.last ?? PublishingNumber.none, lastUse: now)
        producers[id] = producer
        return .success(
            Grant(
                producerID: id, epoch: producer.epoch, last: producer.last, change: Self.position(id, producer),
                forgotten: forgotten))
    }

    /// A message arrived on a link that was granted `producerID` and `epoch`. Its numbers are taken at once, so that the
    /// next message can follow before this one is durable.
    mutating func publish(
        _ numbers: PublishedNumbers, producerID: Int64, epoch: Int16, now: Int64
    ) -> Verdict {
        guard var producer = producers[producerID] else {
            return .refused(AMQPError(PublishedNumbers.outOfOrder, "producer \(producerID) is not known any more"))
        }
        guard epoch >= producer.epoch else {
            return .refused(
                AMQPError(Self.epochStolen, "producer \(producerID) was attached with the epoch \(producer.epoch)"))
        }
        guard numbers.producerID == producerID, numbers.epoch == epoch else {
            return .refused(
                AMQPError(
                    "com.microsoft:argument-error",
                    "the events are those of producer \(numbers.producerID), epoch \(numbers.epoch); the link's are"
                        + " \(producerID), \(epoch)"))
        }
        if numbers.first == PublishingNumber.next(producer.last)
            || (!producer.hasPublished && numbers.first == producer.last)
        {
            producer.last = numbers.last
            producer.hasPublished = true
            producer.lastUse = now
            producers[producerID] = producer
            return .store(Self.position(producerID, producer))
        }
        if PublishingNumber.isAtOrBefore(numbers.first, producer.last),
            PublishingNumber.isAtOrBefore(numbers.last, producer.last)
        {
            return .duplicate
        }
        return .refused(
            AMQPError(
                PublishedNumbers.outOfOrder,
                "the events have the sequence numbers \(numbers.first) to \(numbers.last); the last stored is"
                    + " \(producer.last)"))
    }

    static let epochStolen = "com.microsoft:producer-epoch-stolen"

    // MARK: - As stored

    // Key: "P", then the id. Value: version 1, epoch, last number, time of last use, 1 if it has published. Little-endian.
    private static let keyMark = UInt8(ascii: "P")
    private static let version: UInt8 = 1

    private static func key(_ id: Int64) -> SourceKey {
        var bytes = [keyMark]
        append(id, to: &bytes)
        return SourceKey(bytes)
    }

    private static func position(_ id: Int64, _ producer: Producer) -> SourcePosition {
        var value = [version]
        value.reserveCapacity(16)
        append(producer.epoch, to: &value)
        append(producer.last, to: &value)
        append(producer.lastUse, to: &value)
        value.append(producer.hasPublished ? 1 : 0)
        return SourcePosition(source: key(id), value: value)
    }

    private static func id(_ key: SourceKey) -> Int64? {
        guard key.bytes.count == 9, key.bytes[0] == keyMark else { return nil }
        return integer(key.bytes, at: 1)
    }

    private static func producer(_ value: [UInt8]) -> Producer? {
        guard value.count == 16, value[0] == version else { return nil }
        return Producer(
            epoch: integer(value, at: 1), last: integer(value, at: 3), hasPublished: value[15] == 1,
            lastUse: integer(value, at: 7))
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func integer<Value: FixedWidthInteger>(_ bytes: [UInt8], at offset: Int) -> Value {
        bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }
}
