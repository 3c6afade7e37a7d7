internal import NIOCore
internal import Producing
internal import Pulsar
import Synchronization
internal import TailraceDelivery

/// One partition's producer between the drain's lane and its broker: one batch at a time, under the numbers that follow
/// those of the last acknowledged one.
///
/// A batch keeps its numbers until it is acknowledged or refused for good, so that a broker that deduplicates knows it again
/// whatever happened in between. Reconnecting and sending again is the topic producer's; when that has ended, another one
/// is opened under the same name.
final class PulsarLane: Sendable {
    private struct State {
        /// Open; nil while another one is being opened.
        var producer: BatchProducer?
        var opening: (producer: BatchProducer, end: EventLoopFuture<Void>)?
        /// Of the last acknowledged record; -1: none yet.
        var lastNumber: Int64
        /// The highest number that a broker may have without our knowing, from this run or the one before.
        var highestNumber: Int64
        var isTakenOver = false
        var isClosed = false
    }

    let topic: TopicName
    private let make: @Sendable () throws -> BatchProducer
    private let guarantee: PulsarGuarantee
    private let health: OutputHealth
    private let eventLoop: any EventLoop
    private let environment: ClientEnvironment
    private let state: Mutex<State>

    /// What becomes of a producer whose name another agent uses: nothing is tried again, but the lane has to be told
    /// something. (The lane makes it less: see `RetryPolicy.suggestedCap`.)
    private static let takenOverPause = Duration.seconds(3600)

    /// - Parameters:
    ///   - producer: is open.
    ///   - lastNumber: the next record's number follows it.
    ///   - eventLoop: where waiting happens.
    ///   - make: makes another producer under the same name.
    init(
        _ producer: BatchProducer, lastNumber: Int64, guarantee: PulsarGuarantee, health: OutputHealth,
        eventLoop: any EventLoop, environment: ClientEnvironment = ClientEnvironment(),
        make: @escaping @Sendable () throws -> BatchProducer
    ) {
        self.environment = environment
        topic = producer.topic
        self.eventLoop = eventLoop
        self.guarantee = guarantee
        self.health = health
        self.make = make
        state = Mutex(State(producer: producer, lastNumber: lastNumber, highestNumber: lastNumber))
    }

    var isTakenOver: Bool { state.withLock { $0.isTakenOver } }

    /// Why there is no connection; nil while there is one.
    var trouble: PulsarError? {
        let producer = state.withLock { $0.producer ?? $0.opening?.producer }
        return producer?.isConnected == false ? producer?.trouble : nil
    }

    /// One at a time; on any thread, which does the compressing.
    func send(_ batch: PulsarBatch, completion: @escaping @Sendable (SendOutcome) -> Void) {
        let (producer, number, isTakenOver) = state.withLock { state in
            if state.producer?.end != nil { state.producer = nil }
            return (state.producer, state.lastNumber + 1, state.isTakenOver)
        }
        if isTakenOver {
            return completion(.retry(reason: Self.takenOver(topic).error, after: Self.takenOverPause))
        }
        guard let producer, let encoder = producer.encoder else {
            return open().whenComplete { result in
                switch result {
                case .success: self.send(batch, completion: completion)
                case .failure(let error): completion(self.failed(error))
                }
            }
        }
        var payload = batch.payload
        payload.number(from: UInt64(number))
        let sealed: SealedSend
        do throws(PulsarError) {
            sealed = try encoder.seal(
                payload, partitionKey: batch.key.isEmpty ? nil : batch.key, publishTime: environment.wallMilliseconds())
        } catch {
            return completion(.rejected(reason: "\(error)"))
        }
        producer.send(sealed) { result in
            switch result {
            case .success(let position) where position.isDuplicate && batch.count > 1:
                self.verify(sealed, batch, completion)
            case .success: completion(self.acknowledged(batch))
            case .failure(let error): completion(self.failed(error, sealed))
            }
        }
    }

    private func acknowledged(_ batch: PulsarBatch) -> SendOutcome {
        state.withLock { state in
            state.lastNumber += Int64(batch.count)
            state.highestNumber = max(state.highestNumber, state.lastNumber)
        }
        health.noteConnected()
        if guarantee.beginAsking() {
            reopen { opened, lastNumber in
                self.guarantee.endAsking(opened.map { $0.lastSequenceID >= lastNumber })
            }
        }
        return .accepted
    }

    /// The broker says that it has the batch already: that its first record is not new. What was on its way when the last
    /// run ended may have been stored since this one began, and cut otherwise. So it is asked for its last number, and a
    /// batch that has new records too goes again in parts.
    private func verify(
        _ sealed: SealedSend, _ batch: PulsarBatch, _ completion: @escaping @Sendable (SendOutcome) -> Void
    ) {
        reopen { opened, _ in
            guard let opened else {
                return completion(.unknown(reason: "the broker has some of the batch, and does not tell how much"))
            }
            if opened.lastSequenceID >= Int64(sealed.lastID) { return completion(self.acknowledged(batch)) }
            completion(.rejected(reason: "the broker has some of the batch from an earlier run"))
        }
    }

    /// - Parameter sealed: what the broker may have.
    private func failed(_ error: any Error, _ sealed: SealedSend? = nil) -> SendOutcome {
        let error = error as? PulsarError ?? PulsarError(.unknown, "\(error)")
        if error.code == .messageTooBig || error.code == .invalidMessage { return .rejected(reason: "\(error)") }
        // Such as what is above a limit that the topic has of its own: the answer is the same however often it is sent.
        if error.code == .notAllowed, sealed != nil { return .rejected(reason: "\(error)") }
        if error.isOutcomeUnknown, let sealed {
            state.withLock { $0.highestNumber = max($0.highestNumber, Int64(sealed.lastID)) }
        }
        health.note(isTakenOver ? Self.takenOver(topic) : OutputTrouble(error))
        return error.isOutcomeUnknown
            ? .unknown(reason: "\(error)") : .retry(reason: "\(error)", after: OutputHealth.repairInterval)
    }

    // MARK: Opening again

    /// Another producer under the name, unless one is being opened.
    private func open() -> EventLoopFuture<Void> {
        open(closing: nil) { opened in
            // False: somebody else has sent under the name.
            opened.map { $0.lastSequenceID <= self.state.withLock { $0.highestNumber } } ?? true
        }
    }

    /// Opens the producer again, to hear what the broker has. Nothing is in flight, and nothing is sent meanwhile.
    ///
    /// - Parameter told: given nil when that failed; and the number of the last acknowledged record.
    private func reopen(_ told: @escaping @Sendable (OpenedProducer?, _ lastNumber: Int64) -> Void) {
        let (producer, lastNumber) = state.withLock { state in
            defer { state.producer = nil }
            return (state.producer, state.lastNumber)
        }
        _ = open(closing: producer) { opened in
            if let opened {
                // What it has more than we know of is from the run before.
                self.state.withLock { $0.highestNumber = max($0.highestNumber, opened.lastSequenceID) }
            }
            told(opened, lastNumber)
            return true
        }
    }

    /// - Parameter check: called once, with nil when it failed, before anybody sends; false makes the producer of no use.
    private func open(
        closing previous: BatchProducer?, check: @escaping @Sendable (OpenedProducer?) -> Bool
    ) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        let producer: BatchProducer
        do {
            producer = try make()
        } catch {
            promise.fail(error)
            _ = check(nil)
            return promise.futureResult
        }
        let (underWay, isClosed) = state.withLock { state -> (EventLoopFuture<Void>?, Bool) in
            if state.isClosed { return (nil, true) }
            if let opening = state.opening { return (opening.end, false) }
            state.opening = (producer, promise.futureResult)
            return (nil, false)
        }
        if isClosed {
            promise.fail(PulsarError(.alreadyClosed, "the output is closed"))
            _ = check(nil)
            return promise.futureResult
        }
        if let underWay {
            promise.fail(PulsarError(.alreadyClosed, "another one is being opened"))
            return underWay
        }
        eventLoop.makeFuture(on: environment.executor) {
            await previous?.close()
            return try await producer.open()
        }.whenComplete { result in
            let isOurs = check(try? result.get())
            self.state.withLock { state in
                state.opening = nil
                if case .success = result, isOurs { state.producer = producer }
                if !isOurs { state.isTakenOver = true }
            }
            if !isOurs { self.health.note(Self.takenOver(self.topic)) }
            promise.completeWith(result.map { _ in })
        }
        return promise.futureResult
    }

    static func takenOver(_ topic: TopicName) -> OutputTrouble {
        OutputTrouble(
            state: "not sending: another agent sends as this one's producer",
            error:
                "\(topic): another agent sends under this one's producer name; was the state directory copied? Stop the"
                + " other agent, or give it a producer_name of its own, then restart this one",
            isTakeover: true)
    }

    func close() async {
        let producer = state.withLock { state in
            state.isClosed = true
            return state.producer ?? state.opening?.producer
        }
        await producer?.close()
    }
}
