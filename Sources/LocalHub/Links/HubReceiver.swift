internal import AMQP
internal import NIOCore
import NIOPosix
internal import TailraceSpool

/// A receiver's link: reads its partition off the event loop and sends as far as the credit reaches.
///
/// Loop-bound but for `Source`, which one job of the thread pool at a time owns.
final class HubReceiver: @unchecked Sendable {
    let link: LinkID
    let partition: HubPartition
    /// Nil: without owner level.
    let ownerLevel: Int64?
    private unowned let connection: HubConnection
    private let source = Source()
    private let position: EventPosition
    private var isReading = false
    private var isWaiting = false
    private(set) var isOver = false

    /// Events read at once: at most so many, and bytes until this is passed.
    private static let eventsPerRead = 1000
    private static let bytesPerRead = 512 << 10
    /// Deliveries that may wait in the link before more is read.
    private static let queueLimit = 1000

    init(
        link: LinkID, partition: HubPartition, ownerLevel: Int64?, position: EventPosition, connection: HubConnection
    ) {
        self.link = link
        self.partition = partition
        self.ownerLevel = ownerLevel
        self.position = position
        self.connection = connection
    }

    /// Where the reading stands.
    private final class Source: @unchecked Sendable {
        var reader: SpoolReader?
        var frame: SpoolFrame?
        var index = 0
    }

    enum Outcome: Sendable {
        case events([ByteBuffer])
        /// Everything before this id was read.
        case end(next: UInt64)
        case behindTheEnd
        case failed(String)
    }

    /// Sends what there is, if the peer wants any.
    func goOn() {
        guard !isOver, !isReading, !isWaiting, let handler = connection.handler,
            let (credit, queued) = handler.credit(of: link), queued < Self.queueLimit, Int(credit) > queued
        else { return }
        isReading = true
        let limit = min(Self.eventsPerRead, Int(credit) - queued)
        let (source, partition, position, loop) = (source, partition, position, connection.eventLoop)
        connection.hub.readers?.submit { state in
            guard case .active = state else { return }
            let outcome = Self.read(source, partition, position, limit: limit)
            loop.execute { self.done(outcome) }
        }
    }

    private static func read(
        _ source: Source, _ partition: HubPartition, _ position: EventPosition, limit: Int
    ) -> Outcome {
        do throws(SpoolError) {
            if source.reader == nil {
                guard let reader = try partition.reader(at: position) else { return .behindTheEnd }
                source.reader = reader
            }
            guard let reader = source.reader else { return .behindTheEnd }
            var events: [ByteBuffer] = []
            var bytes = 0
            while events.count < limit, bytes < bytesPerRead {
                if source.frame == nil {
                    source.frame = try reader.next()
                    source.index = source.frame?.startIndex ?? 0
                }
                guard let frame = source.frame else { break }
                let key = frame.context.isEmpty ? nil : String(decoding: frame.context, as: UTF8.self)
                let last = min(frame.recordCount, source.index + limit - events.count)
                var output = ByteBuffer()
                var ranges: [Range<Int>] = []
                while source.index < last, bytes < bytesPerRead {
                    let start = output.writerIndex
                    EventMessage.write(
                        ByteBuffer(bytes: frame.body(source.index)),
                        EventMessage.Annotations(
                            sequence: frame.firstSequence + UInt64(source.index), enqueuedTime: frame.time,
                            partitionKey: key),
                        into: &output)
                    ranges.append(start..<output.writerIndex)
                    bytes += output.writerIndex - start
                    source.index += 1
                }
                for range in ranges {
                    if let event = output.getSlice(at: range.lowerBound, length: range.count) { events.append(event) }
                }
                if source.index >= frame.recordCount { source.frame = nil }
            }
            return events.isEmpty ? .end(next: reader.nextSequence) : .events(events)
        } catch {
            return .failed(error.description)
        }
    }

    private func done(_ outcome: Outcome) {
        isReading = false
        guard !isOver, let handler = connection.handler else { return }
        switch outcome {
        case .events(let events):
            for event in events {
                // A refusal means that the link goes: its end is told by an event.
                _ = handler.send(link, OutgoingDelivery(payload: event, settled: true))
            }
            goOn()
        case .end(let next):
            isWaiting = true
            let loop = connection.eventLoop
            let waits = partition.wait(self, for: next) { [weak self] in
                guard let receiver = self else { return }
                loop.execute {
                    receiver.isWaiting = false
                    receiver.goOn()
                }
            }
            if !waits {
                isWaiting = false
                goOn()
            }
        case .behindTheEnd:
            connection.detach(
                link,
                AMQPError(
                    "com.microsoft:argument-error",
                    "the supplied position lies behind the last event of partition \(partition.index)"))
        case .failed(let text):
            connection.detach(link, AMQPError(AMQPCondition.internalError, text))
        }
    }

    func end() {
        isOver = true
        partition.stopWaiting(self)
    }
}
