internal import NIOCore

/// The batches on their way to one partition, in order: a value without clock, thread or connection.
///
/// Events go in (`append`, `finished`, `resolve`, `timeReached`), actions come out, to be performed in their order. A
/// batch is in the lane until its `settle` action, and every batch gets exactly one (or is replaced by others, which
/// do). Settlements come in the order of `append`.
///
/// Order on the wire: when an attempt fails or is refused, nothing is transmitted until every other transmission has ended,
/// and then the lane goes on with its oldest unfinished batch. What is behind a batch that was given up waits until that is
/// settled: its owner may have to note it before the service sees anything that came later (`holdsAfterGivingUp`). With one
/// batch in flight (the default) this keeps the order with any service. A wider window needs a service that refuses a batch
/// whose predecessor it does not have; with any other a refused batch would be overtaken by those behind it.
package struct Lane<Batch> {
    package enum Action {
        case transmit(Batch, Ticket)
        case settle(Batch, Settlement)
        /// The service will never take this batch: answer with `resolve`. Until then nothing is transmitted, so that
        /// what replaces the batch keeps its place.
        case refused(Batch, Ticket, reason: String)
        /// Call `timeReached` at this time; replaces what was said before.
        case wait(until: ContinuousClock.Instant)
    }

    /// What becomes of a batch that the service refused for good.
    package enum Resolution {
        case giveUp
        /// The parts of it, to be tried instead; at least one.
        case replace([Batch])
    }

    /// Names one attempt at one batch.
    package struct Ticket: Equatable, Sendable {
        package let number: UInt64
        /// 1 for the first.
        package let attempt: Int
    }

    fileprivate enum State {
        case waiting
        case inFlight
        case refused(reason: String)
        case finished(Settlement)
    }

    fileprivate struct Entry {
        let batch: Batch
        let number: UInt64
        var attempts = 0
        var state = State.waiting
    }

    package let window: Int
    package let retry: RetryPolicy
    /// Once a batch that was given up is settled, nothing is transmitted until `resume`.
    package let holdsAfterGivingUp: Bool

    private var entries = CircularBuffer<Entry>()
    /// No entry before this offset waits, so that the next one is found at once, however many are in flight.
    private var passed = 0
    private var nextNumber: UInt64 = 0
    private var refused = 0
    /// Batches that were given up and wait for those before them to be settled.
    private var givenUp = 0
    /// Attempts that failed since the last one that did not.
    package private(set) var failures = 0
    /// Transmissions that have not ended.
    package private(set) var inFlight = 0
    /// An attempt failed and later ones are still in flight.
    private var isRecovering = false
    private var pausedUntil: ContinuousClock.Instant?
    private var isHalted = false
    private var isHeld = false
    /// What waits is given up for this reason.
    private var abandonment: String?

    package init(window: Int = 1, retry: RetryPolicy = RetryPolicy(), holdsAfterGivingUp: Bool = false) {
        precondition(window > 0)
        self.window = window
        self.retry = retry
        self.holdsAfterGivingUp = holdsAfterGivingUp
    }

    /// Batches in the lane.
    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }
    /// Some batch is neither in flight nor over, or was not a moment ago.
    package var hasWaiting: Bool { passed < entries.count }
    package var oldest: Batch? { entries.first?.batch }

    /// A batch that joined now would be transmitted at once.
    package var isReady: Bool {
        mayTransmit && givenUp == 0
    }

    private var mayTransmit: Bool {
        !isHalted && !isHeld && !isRecovering && refused == 0 && pausedUntil == nil && inFlight < window
    }

    /// A sealed batch joins the end.
    package mutating func append(_ batch: Batch, now: ContinuousClock.Instant) -> [Action] {
        entries.append(makeEntry(batch))
        if let abandonment {
            rejectWaiting(abandonment)
            return settlements()
        }
        return transmissions(now)
    }

    private mutating func makeEntry(_ batch: Batch) -> Entry {
        defer { nextNumber += 1 }
        return Entry(batch: batch, number: nextNumber)
    }

    /// Entries that do not wait are at the front, so this does not search far.
    private func index(of ticket: Ticket) -> Int {
        guard let index = entries.firstIndex(where: { $0.number == ticket.number }),
            entries[index].attempts == ticket.attempt
        else { preconditionFailure("attempt \(ticket.attempt) of batch \(ticket.number) is over") }
        return entries.distance(from: entries.startIndex, to: index)
    }

    /// A transmission ended. Each ticket ends once; another end of it is a broken service, and traps.
    package mutating func finished(
        _ ticket: Ticket, _ outcome: SendOutcome, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator
    ) -> [Action] {
        let offset = index(of: ticket)
        let index = entries.index(entries.startIndex, offsetBy: offset)
        guard case .inFlight = entries[index].state else {
            preconditionFailure("attempt \(ticket.attempt) of batch \(ticket.number) is not in flight")
        }
        inFlight -= 1
        var actions: [Action] = []
        switch outcome {
        case .accepted:
            failures = 0
            entries[index].state = .finished(.acknowledged)
        case .rejected(let reason):
            // The service works, it just does not want this one.
            failures = 0
            entries[index].state = .refused(reason: reason)
            refused += 1
            // Those in flight behind it will be refused for the gap, and go before anything new.
            isRecovering = true
            actions.append(.refused(entries[index].batch, ticket, reason: reason))
        case .retry(_, let after):
            entries[index].state = .waiting
            failures += 1
            actions += pause(retry.delay(afterFailures: failures, suggested: after, using: &random), now)
        case .throttled(_, let after):
            entries[index].state = .waiting
            actions += pause(retry.delay(whenThrottled: after, using: &random), now)
        case .unknown:
            entries[index].state = .waiting
            failures += 1
            actions += pause(retry.delay(afterFailures: failures, suggested: nil, using: &random), now)
        }
        if case .waiting = entries[index].state { passed = min(passed, offset) }
        if let abandonment { rejectWaiting(abandonment) }
        if inFlight == 0 { isRecovering = false }
        return actions + settlements() + transmissions(now)
    }

    /// The answer to `refused`.
    package mutating func resolve(
        _ ticket: Ticket, _ resolution: Resolution, now: ContinuousClock.Instant
    ) -> [Action] {
        let offset = index(of: ticket)
        let index = entries.index(entries.startIndex, offsetBy: offset)
        guard case .refused(let reason) = entries[index].state else {
            preconditionFailure("batch \(ticket.number) was not refused")
        }
        refused -= 1
        switch resolution {
        case .giveUp:
            giveUp(index, reason)
        case .replace(let batches):
            precondition(!batches.isEmpty)
            let parts = batches.map { makeEntry($0) }
            entries.replaceSubrange(index..<entries.index(after: index), with: parts)
            passed = min(passed, offset)
        }
        return settlements() + transmissions(now)
    }

    private mutating func settlements() -> [Action] {
        var actions: [Action] = []
        while let first = entries.first, case .finished(let settlement) = first.state {
            entries.removeFirst()
            passed = max(passed - 1, 0)
            if case .rejected = settlement {
                givenUp -= 1
                if holdsAfterGivingUp { isHeld = true }
            }
            actions.append(.settle(first.batch, settlement))
        }
        return actions
    }

    private mutating func pause(_ delay: Duration, _ now: ContinuousClock.Instant) -> [Action] {
        isRecovering = true
        let end = now.advanced(by: delay)
        let until = max(end, pausedUntil ?? end)
        pausedUntil = until
        return isHalted ? [] : [.wait(until: until)]
    }

    /// The time of a `wait` has come; early calls are answered with another `wait`.
    package mutating func timeReached(now: ContinuousClock.Instant) -> [Action] {
        guard let pausedUntil, !isHalted else { return [] }
        guard now >= pausedUntil else { return [.wait(until: pausedUntil)] }
        self.pausedUntil = nil
        return transmissions(now)
    }

    /// Nothing is transmitted until `resume`; what is in flight still ends.
    package mutating func hold() { isHeld = true }

    /// Ends a hold.
    package mutating func resume(now: ContinuousClock.Instant) -> [Action] {
        isHeld = false
        return transmissions(now)
    }

    /// Nothing more is transmitted; what is in flight still ends. For a stop.
    package mutating func halt() { isHalted = true }

    /// As `halt`, and every batch is settled as rejected: those that wait now, those in flight when their transmission
    /// fails, those that join later. For a stop without patience.
    ///
    /// - Parameter includingInFlight: those in flight too, at once; their transmissions must not be told to the lane
    ///   any more.
    package mutating func abandon(reason: String, includingInFlight: Bool = false) -> [Action] {
        isHalted = true
        abandonment = reason
        if includingInFlight {
            for index in entries.indices {
                guard case .inFlight = entries[index].state else { continue }
                giveUp(index, reason)
            }
            inFlight = 0
        }
        rejectWaiting(reason)
        return settlements()
    }

    private mutating func rejectWaiting(_ reason: String) {
        for index in entries.indices {
            guard case .waiting = entries[index].state else { continue }
            giveUp(index, reason)
        }
    }

    private mutating func giveUp(_ index: CircularBuffer<Entry>.Index, _ reason: String) {
        entries[index].state = .finished(.rejected(reason: reason))
        givenUp += 1
    }

    private mutating func transmissions(_ now: ContinuousClock.Instant) -> [Action] {
        guard mayTransmit else { return [] }
        var actions: [Action] = []
        // Not over `indices`: they hold the entries too, and the first change would copy all of them.
        var index = entries.index(entries.startIndex, offsetBy: passed)
        while index < entries.endIndex, inFlight < window {
            if case .finished(.rejected) = entries[index].state { break }
            if case .waiting = entries[index].state {
                entries[index].state = .inFlight
                entries[index].attempts += 1
                inFlight += 1
                let ticket = Ticket(number: entries[index].number, attempt: entries[index].attempts)
                actions.append(.transmit(entries[index].batch, ticket))
            }
            index = entries.index(after: index)
            passed += 1
        }
        return actions
    }
}

extension Lane: Sendable where Batch: Sendable {}
extension Lane.Action: Sendable where Batch: Sendable {}
extension Lane.State: Sendable {}
extension Lane.Entry: Sendable where Batch: Sendable {}
