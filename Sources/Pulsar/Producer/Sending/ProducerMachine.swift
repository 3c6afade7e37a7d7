internal import NIOCore
internal import Producing

/// One producer on one concrete topic: what was given to it and has no answer yet, in order, and the way to the broker that
/// it goes over. A value without clock, thread or connection: events go in, actions come out.
///
/// The broker answers in the order of the SENDs of one connection, so a receipt belongs to the oldest one that waits. When
/// a connection is lost, all that waits is sent again over the next one, the same bytes in the same order, before anything
/// new: with deduplication the broker then stores nothing twice, and recognises what it has (a receipt without position).
package struct ProducerMachine<Token: Sendable>: Sendable {
    package enum Action: Sendable {
        /// Find the broker, and ask it to take the producer. Answer with `opened` or `openingFailed`.
        case open(ProducerOpening)
        /// Write to the connection of the attempt that is open.
        case transmit(SealedSend)
        /// What became of what was submitted with this token.
        case settled(Token, Result<SendPosition, PulsarError>)
        /// The broker has taken the producer; also after each reconnect.
        case ready(OpenedProducer)
        /// It comes to nothing any more; nothing is taken from now on.
        case ended(PulsarError)
        /// Give up the connection of this attempt, which may be one for others too: what is on its way has an outcome
        /// that only the broker knows, and another connection asks it.
        case reset(PulsarError)
    }

    fileprivate enum State: Sendable {
        case idle
        /// Waiting for the answer to `open`.
        case opening
        /// Taken, and in the queue of those that want the topic for themselves.
        case waitingForExclusive(OpenedProducer)
        case ready
        /// The next attempt's time.
        case pausing(until: ContinuousClock.Instant)
        case ended(PulsarError)
    }

    fileprivate struct Pending: Sendable {
        var send: SealedSend
        let token: Token
        /// Of all parts of one submission.
        let deadline: ContinuousClock.Instant?
        /// The message that this is a chunk of.
        let group: UInt64
        /// Given to some connection: the broker may have it.
        var wasTransmitted = false
        /// The broker found other bytes than were sent, once.
        var wasDamaged = false
        /// Where this chunk's predecessors begin.
        var firstChunk: SendPosition?
    }

    package let options: ProducerMachineOptions
    private var state = State.idle
    /// Counts the attempts to open; answers to earlier ones are out of date.
    package private(set) var attempt: UInt64 = 0
    private var name: String?
    private var topicEpoch: UInt64?
    private var wasReady = false
    private var openingDeadline: ContinuousClock.Instant?
    /// Attempts that failed since something went well.
    private var failures = 0
    private var place = ProducerOpening.Place.lookup
    /// Why it is not ready; nil when it is.
    package private(set) var trouble: PulsarError?

    private var pending = CircularBuffer<Pending>()
    /// Those at the front of `pending` that the present connection was given.
    private var transmitted = 0
    private var transmittedBytes = 0
    /// Since when the present connection owes an answer; nil: it owes none.
    private var owesSince: ContinuousClock.Instant?
    /// Bytes of all that is pending.
    package private(set) var bytes = 0
    private var nextGroup: UInt64 = 0
    /// The connection takes more.
    private var isWritable = true
    /// The highest id that was acknowledged, and before that what the broker or the options said; -1: none.
    package private(set) var lastSequenceID: Int64 = -1

    package init(_ options: ProducerMachineOptions) {
        self.options = options
        name = options.name
    }

    /// Submissions and chunks without an answer.
    package var count: Int { pending.count }
    package var isReady: Bool { if case .ready = state { true } else { false } }
    package var end: PulsarError? { if case .ended(let error) = state { error } else { nil } }

    /// When `timeReached` is due.
    package var deadline: ContinuousClock.Instant? {
        var earliest = pending.first?.deadline
        func consider(_ time: ContinuousClock.Instant?) {
            if let time { earliest = earliest.map { min($0, time) } ?? time }
        }
        if case .pausing(let until) = state { consider(until) }
        consider(answerDeadline)
        consider(openingDeadline)
        return earliest
    }

    /// When the present connection has kept its answers to itself for too long.
    private var answerDeadline: ContinuousClock.Instant? {
        guard case .ready = state, transmitted > 0, let owesSince, let limit = options.answerTimeout else { return nil }
        return owesSince.advanced(by: limit)
    }

    // MARK: Opening

    package mutating func start(now: ContinuousClock.Instant, _ actions: inout [Action]) {
        guard case .idle = state else { preconditionFailure("started twice") }
        openingDeadline = options.openingTimeout.map { now.advanced(by: $0) }
        open(&actions)
    }

    private mutating func open(_ actions: inout [Action]) {
        attempt += 1
        transmitted = 0
        transmittedBytes = 0
        owesSince = nil
        isWritable = true
        state = .opening
        actions.append(
            .open(
                ProducerOpening(
                    attempt: attempt, place: place, name: name, topicEpoch: topicEpoch, isNameGiven: options.name != nil
                )))
        // An address that a broker gave is good for one attempt; another cluster's stays.
        if case .broker = place { place = .lookup }
    }

    /// The broker took the producer. `isReady`: false when it is only in the queue for the topic.
    package mutating func opened(
        _ producer: OpenedProducer, attempt: UInt64, isReady: Bool, topicEpoch: UInt64?,
        now: ContinuousClock.Instant, using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt else { return }
        switch state {
        case .opening, .waitingForExclusive: break
        case .idle, .ready, .pausing, .ended: return
        }
        if let topicEpoch { self.topicEpoch = topicEpoch }
        // The broker has it, so nothing more can come of a shorter patience.
        openingDeadline = nil
        guard isReady else {
            state = .waitingForExclusive(producer)
            return
        }
        name = producer.name
        state = .ready
        trouble = nil
        if !wasReady { lastSequenceID = options.initialSequenceID ?? producer.lastSequenceID }
        wasReady = true
        if pending.isEmpty { failures = 0 }
        actions.append(.ready(producer))
        transmit(now, &actions)
    }

    /// The answer to `open`, or to being in the queue for the topic.
    package mutating func openingFailed(
        _ error: PulsarError, attempt: UInt64, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt else { return }
        switch state {
        case .opening, .waitingForExclusive: break
        case .idle, .ready, .pausing, .ended: return
        }
        if isFinal(error) { return finish(error, &actions) }
        if !options.isPatient, wasReady, error.code == .quotaExceededRefused {
            failAll(error, &actions)
        }
        pause(error, now, using: &random)
    }

    /// No later attempt can go better, or none is wanted.
    private func isFinal(_ error: PulsarError) -> Bool {
        switch error.code {
        case .topicTerminated, .producerFenced, .alreadyClosed, .invalidConfiguration: true
        case .invalidTopicName, .incompatibleSchema, .notAllowed, .notSupported: !wasReady
        case .authenticationFailed, .authorizationFailed, .topicNotFound, .checksum, .tooManyLookups, .quotaExceeded,
            .quotaExceededRefused, .credentialsUnavailable:
            !wasReady && !options.isPatient
        default: false
        }
    }

    private mutating func pause(
        _ error: PulsarError, _ now: ContinuousClock.Instant, using random: inout some RandomNumberGenerator
    ) {
        trouble = error
        failures += 1
        state = .pausing(
            until: now.advanced(by: options.backoff.delay(afterFailures: failures, suggested: nil, using: &random)))
    }

    // MARK: Losing the connection

    /// The connection of this attempt is gone.
    package mutating func connectionClosed(
        _ error: PulsarError, attempt: UInt64, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt else { return }
        switch state {
        case .ready, .waitingForExclusive: pause(error, now, using: &random)
        // The answer to `open` comes too.
        case .opening, .idle, .pausing, .ended: break
        }
    }

    /// The broker closed the producer; the connection stays.
    package mutating func closedByBroker(
        assigned place: ProducerOpening.Place?, attempt: UInt64, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt else { return }
        switch state {
        case .ready, .waitingForExclusive: break
        case .opening, .idle, .pausing, .ended: return
        }
        let error = PulsarError(.serviceNotReady, "the broker closed the producer, as it does when a topic moves")
        // A broker that sends us on has an answer for us; without one the topic is still on its way.
        guard let place, failures == 0 else { return pause(error, now, using: &random) }
        trouble = error
        failures += 1
        self.place = place
        open(&actions)
    }

    /// The topic lives in another cluster from now on.
    package mutating func migrated(
        to place: ProducerOpening.Place, attempt: UInt64, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt else { return }
        self.place = place
        closedByBroker(assigned: place, attempt: attempt, now: now, using: &random, &actions)
    }

    private mutating func reset(
        _ error: PulsarError, _ now: ContinuousClock.Instant, using random: inout some RandomNumberGenerator,
        _ actions: inout [Action]
    ) {
        actions.append(.reset(error))
        pause(error, now, using: &random)
    }

    // MARK: Sending

    /// Takes the frames of one batch or message, which are one chunk each when there are several.
    package mutating func submit(
        _ sends: some Collection<SealedSend>, _ token: Token, now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        precondition(!sends.isEmpty)
        if case .ended(let error) = state { return actions.append(.settled(token, .failure(error))) }
        let deadline = options.sendTimeout.map { now.advanced(by: $0) }
        for send in sends {
            pending.append(Pending(send: send, token: token, deadline: deadline, group: nextGroup))
            bytes += send.size
        }
        nextGroup += 1
        transmit(now, &actions)
    }

    /// The connection takes more, or no more for now.
    package mutating func writability(
        _ isWritable: Bool, attempt: UInt64, now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt else { return }
        self.isWritable = isWritable
        transmit(now, &actions)
    }

    private mutating func transmit(_ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        guard case .ready = state else { return }
        if isWritable { fill(&actions) }
        owesSince = transmitted == 0 ? nil : owesSince ?? now
    }

    private mutating func fill(_ actions: inout [Action]) {
        while transmitted < pending.count {
            let index = pending.index(pending.startIndex, offsetBy: transmitted)
            let size = pending[index].send.size
            guard transmitted == 0 || transmittedBytes + size <= options.maximumBytesInFlight else { return }
            pending[index].wasTransmitted = true
            transmitted += 1
            transmittedBytes += size
            actions.append(.transmit(pending[index].send))
        }
    }

    // MARK: Answers

    package mutating func receipt(
        firstID: UInt64, position: SendPosition, attempt: UInt64, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt, case .ready = state else { return }
        // What had waited too long, and is answered now, was forgotten.
        guard transmitted > 0, let oldest = pending.first, firstID >= oldest.send.firstID else { return }
        guard firstID <= oldest.send.lastID else {
            return reset(
                PulsarError(
                    .protocolViolation,
                    "the broker acknowledged message \(firstID) before \(oldest.send.firstID), which was sent first"),
                now, using: &random, &actions)
        }
        failures = 0
        owesSince = nil
        removeFirst()
        if position.isDuplicate, oldest.wasDamaged {
            // It was refused once, and messages behind it may have been stored before it came again: this may mean no more
            // than that its id is lower than theirs.
            var error = Self.damaged
            error.isOutcomeUnknown = true
            actions.append(.settled(oldest.token, .failure(error)))
        } else if oldest.send.isLastChunk {
            lastSequenceID = max(lastSequenceID, Int64(clamping: oldest.send.lastID))
            var position = position
            position.firstLedgerID = oldest.firstChunk?.ledgerID
            position.firstEntryID = oldest.firstChunk?.entryID
            actions.append(.settled(oldest.token, .success(position)))
        } else if !pending.isEmpty, pending[pending.startIndex].group == oldest.group {
            pending[pending.startIndex].firstChunk = oldest.firstChunk ?? position
        }
        transmit(now, &actions)
    }

    /// The broker refused a SEND. `lastID` is the highest id in it.
    package mutating func refused(
        _ error: PulsarError, lastID: UInt64, attempt: UInt64, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        guard attempt == self.attempt, case .ready = state else { return }
        switch error.code {
        case .topicTerminated, .producerFenced: return finish(error, &actions)
        case .notAllowed, .messageTooBig, .invalidMessage:
            guard let offset = offset(ofLastID: lastID) else { break }
            owesSince = nil
            failGroup(at: offset, error, &actions)
            return transmit(now, &actions)
        case .checksum:
            guard let offset = offset(ofLastID: lastID) else { break }
            owesSince = now
            let index = pending.index(pending.startIndex, offsetBy: offset)
            guard !pending[index].wasDamaged else {
                failGroup(at: offset, Self.damaged, &actions)
                return transmit(now, &actions)
            }
            pending[index].wasDamaged = true
            // Nothing went after it that could be stored before it: it goes again at once.
            if transmitted == 1 { return actions.append(.transmit(pending[index].send)) }
        default: break
        }
        reset(error, now, using: &random, &actions)
    }

    private static var damaged: PulsarError {
        PulsarError(.checksum, "the broker got other bytes than were sent, twice; look at the network and its proxies")
    }

    /// Refusals may come before the receipts of what was sent earlier.
    private func offset(ofLastID id: UInt64) -> Int? {
        var offset = 0
        for entry in pending {
            guard offset < transmitted else { return nil }
            if entry.send.lastID == id { return offset }
            offset += 1
        }
        return nil
    }

    private mutating func removeFirst() {
        let entry = pending.removeFirst()
        bytes -= entry.send.size
        guard transmitted > 0 else { return }
        transmitted -= 1
        transmittedBytes -= entry.send.size
    }

    /// Fails one submission wherever it stands: chunks of a message make no sense without the others.
    private mutating func failGroup(at offset: Int, _ error: PulsarError, _ actions: inout [Action]) {
        let entry = pending[pending.index(pending.startIndex, offsetBy: offset)]
        var position = 0
        var kept = CircularBuffer<Pending>(initialCapacity: pending.count)
        for other in pending {
            defer { position += 1 }
            guard other.group == entry.group else {
                kept.append(other)
                continue
            }
            bytes -= other.send.size
            guard position < transmitted else { continue }
            transmittedBytes -= other.send.size
        }
        transmitted -= pending.prefix(transmitted).count { $0.group == entry.group }
        pending = kept
        actions.append(.settled(entry.token, .failure(error)))
    }

    // MARK: Time

    package mutating func timeReached(
        now: ContinuousClock.Instant, using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        expire(now, &actions)
        if let openingDeadline, openingDeadline <= now {
            self.openingDeadline = nil
            var text = "the producer was not opened before the deadline"
            if let trouble { text += "; the last attempt: \(trouble)" }
            return finish(PulsarError(trouble?.code == .producerBusy ? .producerBusy : .timeout, text), &actions)
        }
        if case .pausing(let until) = state, until <= now { open(&actions) }
        if let answerDeadline, answerDeadline <= now {
            let error = PulsarError(.timeout, "the broker shows signs of life, but does not answer what was sent")
            return reset(error, now, using: &random, &actions)
        }
        // There may be room for more.
        transmit(now, &actions)
    }

    /// Gives up what has waited too long, and nothing else.
    private mutating func expire(_ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        while let first = pending.first, let deadline = first.deadline, deadline <= now {
            // All chunks of a message have its deadline.
            var wasTransmitted = false
            while let next = pending.first, next.group == first.group {
                wasTransmitted = wasTransmitted || next.wasTransmitted
                removeFirst()
            }
            var text = "the broker did not answer in time"
            if let trouble { text += "; the connection: \(trouble)" }
            var error = PulsarError(.timeout, text)
            error.isOutcomeUnknown = wasTransmitted
            actions.append(.settled(first.token, .failure(error)))
        }
    }

    // MARK: Ending

    /// Takes nothing more, and fails what has no answer.
    package mutating func close(_ error: PulsarError, _ actions: inout [Action]) {
        if case .ended = state { return }
        finish(error, &actions)
    }

    private mutating func finish(_ error: PulsarError, _ actions: inout [Action]) {
        state = .ended(error)
        trouble = error
        openingDeadline = nil
        failAll(error, &actions)
        actions.append(.ended(error))
    }

    private mutating func failAll(_ error: PulsarError, _ actions: inout [Action]) {
        let all = pending
        pending.removeAll()
        (transmitted, transmittedBytes, bytes) = (0, 0, 0)
        var group: UInt64?
        var unknown = error
        unknown.isOutcomeUnknown = true
        for entry in all {
            guard entry.group != group else { continue }
            group = entry.group
            actions.append(.settled(entry.token, .failure(entry.wasTransmitted ? unknown : error)))
        }
    }
}
