internal import AMQP
internal import Logging
package import NIOCore
import Synchronization

/// Publishes batches to one partition so that none is stored twice: protocol notes, section 8.
///
/// The numbers are `PublishingMachine`'s; this gives it a link of its own over a connection. After the loss of a link the
/// next batch attaches a new one with the identity remembered, and learns from the service which batches it has.
///
/// A batch that failed must be published again before those that were published after it, or be abandoned.
package final class PartitionPublisher: @unchecked Sendable {
    package let partitionID: String
    private let connection: EventHubConnection
    let key: SenderKey
    /// What is refused for good is replaced by other batches, which come before those that waited behind it.
    let replacesRefused: Bool
    // Touched on the event loop only.
    private var machine: PublishingMachine<PublishableBatch>
    /// Set while a link is being given up.
    private(set) var ending: EventLoopFuture<Void>?
    /// Batches without numbers, in the order of the calls: they wait for a link, or for the first one to end.
    var line = CircularBuffer<Transmission>()
    var isEstablished: Bool { machine.isEstablished }
    private let shown = Mutex<PublishingState?>(nil)

    private static let serial = Atomic<UInt64>(0)

    /// - Parameter replacesRefused: a batch that is refused for good is replaced by others, as halves replace a whole. Those
    ///   that wait behind it fail (`retriable`), so that these can be published first.
    package init(
        _ connection: EventHubConnection, partitionID: String, options: PublishingOptions = PublishingOptions(),
        replacesRefused: Bool = false
    ) {
        self.connection = connection
        self.partitionID = partitionID
        self.replacesRefused = replacesRefused
        key = SenderKey(partitionID, publisher: Self.serial.wrappingAdd(1, ordering: .relaxed).newValue)
        machine = PublishingMachine(options)
    }

    deinit {
        // A closed connection has no links, and its event loop may have been shut down since.
        guard connection.isInUse.load(ordering: .relaxed) else { return }
        let (connection, key) = (connection, key)
        connection.eventLoop.execute { connection.detach(key) }
    }

    /// Identity, and the last number that the service confirmed; nil before the first link was attached.
    package var state: PublishingState? { shown.withLock { $0 } }

    /// Attaches the link if there is none. Nil: the namespace does not support idempotent publishing. Fails with
    /// `EventHubsError`.
    package func open() -> EventLoopFuture<PublishingState?> {
        connection.eventLoop.flatSubmit {
            self.connection.sender(self.key, self).map { _ in self.machine.state }.flatMapErrorThrowing { error in
                let error = EventHubsError(attaching: self.place, error)
                guard error.code == .notSupported else { throw error }
                return nil
            }
        }
    }

    /// Bytes that a message may have; attaches the link if there is none. Fails with `EventHubsError`.
    package func maximumMessageSize() -> EventLoopFuture<Int> {
        connection.eventLoop.flatSubmit {
            self.connection.sender(self.key, self).map { sender in
                let limit = Int(clamping: sender.maximumMessageSize)
                return limit == 0 ? EventHubsName.fallbackMessageSize : limit
            }
        }
    }

    /// Publishes a batch in the order of the calls; several may be in flight. `completion` is called once, on the event
    /// loop, within the send deadline.
    ///
    /// `retriable` and `unknown`: publish the same batch again. `batchRefused`: its numbers go to those behind it.
    ///
    /// - Parameter limit: the send deadline; nil: that of the options.
    package func publish(
        _ batch: PublishableBatch, limit: Duration? = nil, completion: @escaping @Sendable (SendResult) -> Void
    ) {
        connection.publish(batch, self, limit: limit, completion: completion)
    }

    /// Tells that a batch that failed will not be published again. When the service may have it, the owner level rises by
    /// one, so that what is still under way cannot be stored any more and its numbers can be used again.
    package func abandon(_ batch: PublishableBatch) {
        connection.onLoop {
            guard self.machine.abandon(batch) else { return }
            self.connection.detach(self.key, self)
        }
    }

    /// Gives the link back.
    package func close() {
        connection.onLoop { self.connection.detach(self.key, self) }
    }

    // MARK: - For the connection, on its event loop

    /// Takes a batch out of the line, and all that wait behind it: they must not come before it.
    func leaveLine(_ transmission: Transmission) -> [Transmission] {
        guard let index = line.firstIndex(where: { $0 === transmission }) else { return [] }
        let behind = Array(line[line.index(after: index)...])
        line.removeSubrange(index...)
        return behind
    }

    private var place: String { connection.place(partitionID) }

    /// Adds the wish for this producer to an attach. When one of the three properties is known, all are there.
    func ask(in attach: inout Attach) {
        attach.desiredCapabilities.append(EventHubsName.idempotentProducer)
        let request = machine.request
        guard !request.isEmpty else { return }
        attach.properties[symbol: EventHubsName.producerID] = request.producerGroupID.map(AMQPValue.long) ?? .null
        attach.properties[symbol: EventHubsName.producerEpoch] = request.ownerLevel.map(AMQPValue.short) ?? .null
        attach.properties[symbol: EventHubsName.producerSequenceNumber] =
            request.startingSequenceNumber.map(AMQPValue.int) ?? .null
    }

    func attached(_ sender: AMQPSender) throws(EventHubsError) {
        let properties = sender.remoteAttach?.properties ?? AMQPMap()
        let values = (
            properties[symbol: EventHubsName.producerID], properties[symbol: EventHubsName.producerEpoch],
            properties[symbol: EventHubsName.producerSequenceNumber]
        )
        let state: PublishingState
        switch values {
        case (.long(let id)?, .short(let level)?, .int(let last)?) where last >= PublishingNumber.none:
            state = PublishingState(producerGroupID: id, ownerLevel: level, lastSequenceNumber: last)
        case (nil, nil, nil):
            throw EventHubsError(
                .notSupported,
                "\(place): the namespace does not support idempotent publishing; turn it off, or use another tier")
        default:
            throw EventHubsError(
                .protocolViolation,
                "\(place): the service did not say who the idempotent producer is, and where it stands")
        }
        switch try machine.attached(state) {
        case .nothing: break
        case .forgotten(let confirmed, let last):
            connection.logger.warning(
                "the service has forgotten what this producer published; what was outstanding may be stored twice",
                metadata: [
                    "partition": "\(place)", "producer": "\(state.producerGroupID)", "confirmed": "\(confirmed)",
                    "service": "\(last)",
                ])
        }
        show()
    }

    /// What to do with a batch whose link is there.
    enum Step {
        case send(ByteBuffer)
        case end(SendResult)
        /// When the one in flight has ended.
        case later
    }

    func prepare(_ batch: PublishableBatch) -> Step {
        switch machine.prepare(batch, count: batch.count) {
        case .stored: return .end(.accepted)
        case .later: return .later
        case .failed(let error, let prospect): return .end(.failed(error, prospect))
        case .send(let stamp):
            if let payload = batch.stamped(stamp) { return .send(payload) }
            let error = EventHubsError(
                .invalidArgument,
                "\(place): the batch's events have no room for sequence numbers; make it for idempotent publishing")
            return .end(machine.finished(batch, .failed(error, .batchRefused)).result)
        }
    }

    /// What an end means for the batch's owner, and whether the link must be attached anew.
    func finished(_ batch: PublishableBatch, _ result: SendResult) -> (result: SendResult, reattach: Bool) {
        defer { show() }
        return machine.finished(batch, result)
    }

    /// A link is being given up: no other is attached before it is gone.
    func isEnding(_ end: EventLoopFuture<Void>) {
        // While one ends there is no other, so it is the same.
        guard ending == nil else { return }
        ending = end
        end.whenComplete { _ in self.ending = nil }
    }

    private func show() {
        let state = machine.state
        shown.withLock { $0 = state }
    }
}
