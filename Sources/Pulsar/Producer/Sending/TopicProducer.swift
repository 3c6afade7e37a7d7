package import Logging
package import NIOCore
import Synchronization

/// Runs the producer of one concrete topic against its broker: `ProducerMachine` decides, this finds connections, writes and
/// keeps time.
///
/// What is sent waits here until the broker has answered, over as many connections as that takes; who sends bounds how much
/// that is.
package final class TopicProducer: @unchecked Sendable {
    /// Told once, on an event loop, where it was stored or why it was not.
    package typealias Completion = @Sendable (Result<SendPosition, PulsarError>) -> Void
    typealias Machine = ProducerMachine<Completion>

    package struct Settings: Sendable {
        package var topic: TopicName
        /// Unique in the client.
        package var producerID: UInt64
        package var machine: ProducerMachineOptions
        package var accessMode: PulsarAccessMode
        /// What brokers list beside the producer.
        package var properties: [String: String]
        /// Payloads are encrypted, which some topics insist on.
        package var isEncrypted = false
        /// Nil: plain bytes.
        package var schema: Schema?
        /// For one answer of a broker, and for finding it.
        package var operationTimeout: Duration
    }

    package let settings: Settings
    package var topic: TopicName { settings.topic }
    package let eventLoop: any EventLoop
    private let source: ConnectionSource
    private let instant: @Sendable () -> ContinuousClock.Instant
    private let logger: Logger

    // Touched on the event loop only.
    private var machine: Machine
    private var random: ClientEnvironment.Dice
    private var connection: PulsarConnection?
    /// The broker was asked to take the producer over `connection`, and may have done so.
    private var wasOffered = false
    private var timer: (deadline: ContinuousClock.Instant, task: Scheduled<Void>)?
    /// Frames to be written by whoever `isPerforming`.
    private var frames: [SealedSend] = []
    /// Actions to be performed by whoever `isPerforming`.
    private var actions: [Machine.Action] = []
    private var isPerforming = false
    private let openPromise: EventLoopPromise<OpenedProducer>
    private var hasStarted = false

    // Touched on any thread.
    private struct Inbox {
        var submissions: [(sends: [SealedSend], completion: Completion)] = []
        var isScheduled = false
    }
    private let inbox = Mutex(Inbox())
    private struct Shown {
        var isConnected = false
        var name: String?
        var lastSequenceID: Int64 = -1
        var trouble: PulsarError?
        var end: PulsarError?
    }
    private let shown = Mutex(Shown())

    package init(
        _ settings: Settings, source: ConnectionSource, environment: ClientEnvironment, eventLoop: any EventLoop,
        logger: Logger
    ) {
        self.settings = settings
        instant = environment.instant
        random = environment.dice
        self.source = source
        self.eventLoop = eventLoop
        self.logger = logger
        machine = Machine(settings.machine)
        openPromise = eventLoop.makePromise()
    }

    deinit {
        // Without effect when it was opened.
        openPromise.fail(PulsarError(.alreadyClosed, "the producer was dropped before it was open"))
    }

    // MARK: For any thread

    /// A broker has taken the producer, and the connection to it is there.
    package var isConnected: Bool { shown.withLock { $0.isConnected } }
    /// The one that was chosen, or the broker's choice as soon as it has made one.
    package var name: String? { shown.withLock { $0.name } ?? settings.machine.name }
    /// The highest id that was acknowledged, and before that what the broker or the options said; -1: none.
    package var lastSequenceID: Int64 { shown.withLock { $0.lastSequenceID } }
    /// Why it has no connection; nil when it has one, and before the first attempt failed.
    package var trouble: PulsarError? { shown.withLock { $0.trouble } }
    /// What ended it; nil while it takes more.
    package var end: PulsarError? { shown.withLock { $0.end } }

    /// Begins to open; later calls have no further effect. Fails with `PulsarError` when it comes to nothing.
    package func open() -> EventLoopFuture<OpenedProducer> {
        eventLoop.execute {
            guard !self.hasStarted else { return }
            self.hasStarted = true
            self.run { machine, actions, _, now in
                guard machine.end == nil else { return }
                machine.start(now: now, &actions)
            }
        }
        return openPromise.futureResult
    }

    /// Sends one batch or message, which is in several frames only when it has chunks. In the order of the calls.
    package func submit(_ sends: [SealedSend], completion: @escaping Completion) {
        let schedules = inbox.withLock { inbox in
            inbox.submissions.append((sends, completion))
            defer { inbox.isScheduled = true }
            return !inbox.isScheduled
        }
        if schedules { eventLoop.execute { self.takeSubmissions() } }
    }

    /// Takes nothing more, fails what has no answer, and tells the broker. Succeeds when the broker has answered that, or
    /// had as long as the operation timeout.
    package func close() -> EventLoopFuture<Void> {
        eventLoop.flatSubmit {
            let connection = self.wasOffered ? self.connection : nil
            self.wasOffered = false
            self.hasStarted = true
            self.run { machine, actions, _, _ in
                machine.close(PulsarError(.alreadyClosed, "the producer was closed"), &actions)
            }
            guard let connection else { return self.eventLoop.makeSucceededVoidFuture() }
            return self.forget(connection)
        }
    }

    // MARK: On the event loop

    private func takeSubmissions() {
        let submissions = inbox.withLock { inbox in
            defer {
                inbox.submissions.removeAll()
                inbox.isScheduled = false
            }
            return inbox.submissions
        }
        run { machine, actions, _, now in
            for (sends, completion) in submissions { machine.submit(sends, completion, now: now, &actions) }
        }
    }

    private func run(
        _ body: (inout Machine, inout [Machine.Action], inout ClientEnvironment.Dice, ContinuousClock.Instant) -> Void
    ) {
        body(&machine, &actions, &random, instant())
        performAll()
    }

    /// Not inlined: it is the larger part of each of its callers otherwise.
    @inline(never) private func performAll() {
        guard !isPerforming else { return }
        isPerforming = true
        while !actions.isEmpty {
            // Who is told that a message is stored may ask for the last id at once.
            show()
            let taken = actions
            actions.removeAll(keepingCapacity: true)
            for action in taken { perform(action) }
        }
        isPerforming = false
        show()
        setTimer()
        write()
    }

    /// One flush for all of them.
    private func write() {
        guard !frames.isEmpty else { return }
        let (frames, attempt) = (frames, machine.attempt)
        self.frames.removeAll(keepingCapacity: true)
        guard let connection else { return }
        onLoop(connection.eventLoop) {
            for frame in frames { connection.write(frame.head, frame.payload, flush: false) }
            connection.flush()
            guard !connection.isWritable else { return }
            self.onLoop(self.eventLoop) { self.writability(false, attempt: attempt) }
        }
    }

    private func onLoop(_ eventLoop: any EventLoop, _ body: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { body() } else { eventLoop.execute(body) }
    }

    private func show() {
        let (isConnected, last, trouble, end) = (machine.isReady, machine.lastSequenceID, machine.trouble, machine.end)
        shown.withLock { shown in
            shown.isConnected = isConnected
            shown.end = end
            shown.lastSequenceID = last
            if shown.trouble != trouble { shown.trouble = trouble }
        }
    }

    private func setTimer() {
        guard let deadline = machine.deadline else {
            timer?.task.cancel()
            timer = nil
            return
        }
        // A timer that comes too early is answered with the next one.
        if let timer, timer.deadline <= deadline { return }
        timer?.task.cancel()
        let task = eventLoop.scheduleTask(in: TimeAmount(max(deadline - instant(), .zero))) {
            self.timer = nil
            self.run { machine, actions, random, now in
                machine.timeReached(now: now, using: &random, &actions)
            }
        }
        timer = (deadline, task)
    }

    private func perform(_ action: Machine.Action) {
        switch action {
        case .open(let opening): open(opening)
        case .transmit(let send):
            frames.append(send)
        case .settled(let completion, let result): completion(result)
        case .ready(let producer):
            logger.debug("producer ready", metadata: ["topic": "\(topic)", "name": "\(producer.name)"])
            shown.withLock { $0.name = producer.name }
            show()
            openPromise.succeed(producer)
        case .ended(let error):
            openPromise.fail(error)
            if wasOffered, let connection { _ = forget(connection) }
            connection = nil
            wasOffered = false
        case .reset(let error):
            let connection = connection
            self.connection = nil
            wasOffered = false
            logger.info("giving up the connection of a producer", metadata: ["topic": "\(topic)", "error": "\(error)"])
            connection?.close(error)
        }
    }

    /// The broker need not keep the producer.
    private func forget(_ connection: PulsarConnection) -> EventLoopFuture<Void> {
        connection.closeProducer(settings.producerID, deadline: eventLoop.now + TimeAmount(settings.operationTimeout))
            // A broker that does not answer has no producer of ours either.
            .recover { _ in }.hop(to: eventLoop)
    }

    private func open(_ opening: ProducerOpening) {
        connection = nil
        wasOffered = false
        let session = Session(self, attempt: opening.attempt)
        find(opening.place).hop(to: eventLoop).flatMap { connection -> EventLoopFuture<ProducerSuccessCommand> in
            guard self.machine.attempt == opening.attempt, self.machine.end == nil else {
                return self.eventLoop.makeFailedFuture(PulsarError(.alreadyClosed, "the producer was closed"))
            }
            self.connection = connection
            self.wasOffered = true
            session.address = connection.address
            let deadline = self.eventLoop.now + TimeAmount(self.settings.operationTimeout)
            return connection.openProducer(self.command(opening), session, deadline: deadline).hop(to: self.eventLoop)
        }.whenComplete { result in
            switch result {
            case .success(let success): self.opened(success, attempt: opening.attempt)
            case .failure(let error):
                let error = PulsarError(any: error, .unknown)
                self.run { machine, actions, random, now in
                    machine.openingFailed(error, attempt: opening.attempt, now: now, using: &random, &actions)
                }
            }
        }
    }

    private func find(_ place: ProducerOpening.Place) -> EventLoopFuture<PulsarConnection> {
        switch place {
        case .lookup: source.connection(owning: topic)
        case .broker(let address): source.connection(to: address)
        case .cluster(let url): source.connection(owning: topic, in: url)
        }
    }

    private func command(_ opening: ProducerOpening) -> ProducerCommand {
        ProducerCommand(
            topic: topic.description, producerID: settings.producerID, requestID: 0, producerName: opening.name,
            encrypted: settings.isEncrypted,
            metadata: settings.properties.sorted { $0.key < $1.key }.map { Property(key: $0.key, value: $0.value) },
            schema: settings.schema, epoch: opening.epoch, userProvidedProducerName: opening.isNameGiven,
            producerAccessMode: settings.accessMode.wire, topicEpoch: opening.topicEpoch)
    }

    fileprivate func opened(_ success: ProducerSuccessCommand, attempt: UInt64) {
        guard let connection else { return }
        let producer = OpenedProducer(
            name: success.producerName, lastSequenceID: success.lastSequenceID ?? -1,
            schemaVersion: success.schemaVersion ?? [], maximumMessageSize: connection.maximumMessageSize)
        run { machine, actions, random, now in
            machine.opened(
                producer, attempt: attempt, isReady: success.producerReady ?? true, topicEpoch: success.topicEpoch,
                now: now, using: &random, &actions)
        }
    }

    fileprivate func receipt(_ receipt: SendReceiptCommand, attempt: UInt64) {
        let position =
            receipt.messageID.map { SendPosition(ledgerID: $0.ledgerID, entryID: $0.entryID) } ?? .duplicate
        run { machine, actions, random, now in
            machine.receipt(
                firstID: receipt.sequenceID, position: position, attempt: attempt, now: now, using: &random, &actions)
        }
    }

    fileprivate func refused(_ refusal: SendErrorCommand, attempt: UInt64) {
        let error = PulsarError(refusal.error, refusal.message, doing: "sending to \(topic)")
        run { machine, actions, random, now in
            machine.refused(
                error, lastID: refusal.sequenceID, attempt: attempt, now: now, using: &random, &actions)
        }
    }

    fileprivate func closedByBroker(_ place: ProducerOpening.Place?, attempt: UInt64) {
        run { machine, actions, random, now in
            machine.closedByBroker(assigned: place, attempt: attempt, now: now, using: &random, &actions)
        }
    }

    fileprivate func migrated(_ place: ProducerOpening.Place, attempt: UInt64) {
        run { machine, actions, random, now in
            machine.migrated(to: place, attempt: attempt, now: now, using: &random, &actions)
        }
    }

    fileprivate func connectionClosed(_ error: PulsarError, attempt: UInt64) {
        run { machine, actions, random, now in
            machine.connectionClosed(error, attempt: attempt, now: now, using: &random, &actions)
        }
    }

    fileprivate func writability(_ isWritable: Bool, attempt: UInt64) {
        run { machine, actions, _, now in machine.writability(isWritable, attempt: attempt, now: now, &actions) }
    }
}

extension TopicProducer {
    /// One attempt's ear on its connection, which may have another event loop.
    fileprivate final class Session: ProducerSession, @unchecked Sendable {
        private let producer: TopicProducer
        private let attempt: UInt64
        /// Set before the broker hears of the producer.
        var address: BrokerAddress?

        init(_ producer: TopicProducer, attempt: UInt64) {
            self.producer = producer
            self.attempt = attempt
        }

        private func tell(_ body: @escaping @Sendable (TopicProducer, UInt64) -> Void) {
            let (producer, attempt) = (producer, attempt)
            producer.onLoop(producer.eventLoop) { body(producer, attempt) }
        }

        func receipt(_ receipt: SendReceiptCommand) { tell { $0.receipt(receipt, attempt: $1) } }

        func sendError(_ error: SendErrorCommand) { tell { $0.refused(error, attempt: $1) } }

        func closedByBroker(_ command: CloseProducerCommand) {
            let next = address.flatMap { producer.source.assigned(command, from: $0) }
            tell { $0.closedByBroker(next.map { .broker($0) }, attempt: $1) }
        }

        func migrated(_ command: TopicMigratedCommand) {
            let cluster = producer.source.cluster(command)
            tell { producer, attempt in
                guard let cluster else { return producer.closedByBroker(nil, attempt: attempt) }
                producer.migrated(.cluster(cluster), attempt: attempt)
            }
        }

        func producerReady(_ success: ProducerSuccessCommand) { tell { $0.opened(success, attempt: $1) } }

        func connectionClosed(_ error: PulsarError) { tell { $0.connectionClosed(error, attempt: $1) } }

        func connectionIsWritable() { tell { $0.writability(true, attempt: $1) } }
    }
}

extension PulsarAccessMode {
    var wire: ProducerAccessMode {
        switch self {
        case .shared: .shared
        case .exclusive: .exclusive
        case .waitForExclusive: .waitForExclusive
        case .exclusiveWithFencing: .exclusiveWithFencing
        }
    }
}
