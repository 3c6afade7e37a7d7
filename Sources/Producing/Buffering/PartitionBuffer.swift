internal import NIOCore

/// The events on their way to one partition, from their enqueueing until their result has been told: an open batch that
/// grows, and the lane of those that are sealed. A value without clock, thread or connection.
///
/// Events go in, actions come out, to be performed in their order; time is an argument. An event counts as buffered until
/// the runner says that its result was `told`, so that a slow callback slows the caller down and memory stays bounded.
///
/// The open batch is sealed when the next event does not fit; and, as soon as the lane would transmit it at once, when it
/// is large enough, when its oldest event has waited long enough, when the buffer is full, and for a flush. While the lane
/// is busy it goes on growing, so that a slow service gets fewer and larger batches.
@usableFromInline
package struct PartitionBuffer<Builder: BatchBuilder>: Sendable {
    @usableFromInline package typealias Failure = Builder.Failure
    package typealias Ticket = Lane<WholeBatch<Builder.Batch>>.Ticket

    package enum Action: Sendable {
        /// Answer with `finished`.
        case transmit(Builder.Batch, Ticket)
        /// The result of a batch's events; failed unless nil. Answer with `told`.
        case settled(Builder.Batch, events: Int, Failure?)
        /// An enqueue that waited is over.
        case ended(id: UInt64, WaitEnd<Failure>)
        /// The results of all events before this flush have been told.
        case flushed(id: UInt64)
    }

    /// What became of an event or batch that was offered.
    @usableFromInline
    package enum Admission: Sendable { case taken, full, closed }

    private struct Trouble: Sendable {
        var attempts = 0
        var failure: Failure
    }

    struct Waiter: Sendable {
        let id: UInt64
        let item: BufferItem<Builder>
        let deadline: ContinuousClock.Instant?
    }

    package let limits: BufferLimits
    @usableFromInline var builder: Builder
    private(set) var lane: Lane<WholeBatch<Builder.Batch>> { didSet { shortcut = Shortcut() } }
    /// When the oldest event of the open batch came.
    private var openSince: ContinuousClock.Instant?
    /// It has waited long enough.
    private var isOverdue = false
    private var retryAt: ContinuousClock.Instant?
    var waiters = CircularBuffer<Waiter>() { didSet { shortcut = Shortcut() } }
    private var flushes = CircularBuffer<(id: UInt64, mark: UInt64)>()
    /// Batches of the lane that failed at least once, by their tickets' numbers.
    private var troubles: [UInt64: Trouble] = [:]
    /// The number of the lane's oldest batch: they leave in the order of their numbers.
    private var oldestNumber: UInt64 = 0
    /// Events ever taken, sealed, and told of.
    @usableFromInline var taken: UInt64 = 0
    private var sealed: UInt64 = 0
    private(set) var done: UInt64 = 0
    private(set) var sealedBytes = 0
    package private(set) var isClosed = false { didSet { shortcut = Shortcut() } }
    private var abandonment: Failure?
    /// Batches in flight, by their tickets' numbers, and what becomes of those that are written off.
    private var flying: Set<UInt64> = []
    private var loss: Failure?
    /// `deadline` may have become an earlier one; for the runner, which sets it to false.
    package var needsTimer = false
    /// Closed again by whatever it depends on; opened by the event that finds it closed.
    @usableFromInline var shortcut = Shortcut()

    package init(_ builder: Builder, limits: BufferLimits) {
        self.builder = builder
        self.limits = limits
        lane = Lane(window: limits.window, retry: limits.retry)
    }

    /// Events whose result has not been told.
    package var count: Int { Int(truncatingIfNeeded: taken &- done) }
    package var bytes: Int { sealedBytes + builder.size }
    /// Failed attempts since the last one that did not fail.
    package var failures: Int { lane.failures }

    /// When `timeReached` is due.
    package var deadline: ContinuousClock.Instant? {
        var earliest = retryAt
        func consider(_ time: ContinuousClock.Instant?) {
            if let time { earliest = earliest.map { min($0, time) } ?? time }
        }
        if let openSince, let wait = limits.maximumWait, !isOverdue { consider(openSince.advanced(by: wait)) }
        for waiter in waiters { consider(waiter.deadline) }
        return earliest
    }

    // MARK: Taking events

    func hasRoom(for events: Int) -> Bool {
        let count = count
        return count == 0 || count + events <= limits.maximumEvents && bytes < limits.maximumBytes
    }

    /// Takes one event, unless it would have to wait. `now` is asked for only when the event begins a batch or ends one.
    package mutating func add(
        _ event: Builder.Event, now: @autoclosure () -> ContinuousClock.Instant, _ actions: inout [Action]
    ) throws(Failure) -> Admission {
        switch try join(event) {
        case .joined: return .taken
        case .joinedLast:
            shortcutEnded(now(), &actions)
            return .taken
        case .refused: break
        }
        guard !isClosed else { return .closed }
        guard waiters.isEmpty, hasRoom(for: 1) else { return .full }
        try take(event, now, &actions)
        openShortcut()
        return .taken
    }

    mutating func take(
        _ event: Builder.Event, _ now: () -> ContinuousClock.Instant, _ actions: inout [Action]
    ) throws(Failure) {
        var fits = try builder.add(event)
        if !fits, builder.count > 0 {
            seal(now(), &actions)
            fits = try builder.add(event)
        }
        guard fits else { throw builder.tooLarge(event) }
        taken &+= 1
        if openSince == nil {
            openSince = now()
            needsTimer = true
        }
        if isDue { sealIfReady(now(), &actions) }
    }

    /// Takes a batch as it is, behind the open one, which is sealed.
    mutating func take(_ batch: WholeBatch<Builder.Batch>, _ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        if builder.count > 0 { seal(now, &actions) }
        taken &+= UInt64(batch.events)
        join(batch, now, &actions)
    }

    // MARK: Sealing

    /// The open batch shall go as soon as the lane would transmit it.
    private var isDue: Bool {
        builder.size >= limits.eagerSize || builder.isFull || isOverdue || count >= limits.maximumEvents
            || bytes >= limits.maximumBytes || (flushes.last.map { $0.mark > sealed } ?? false)
    }

    mutating func sealIfReady(_ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        if builder.count > 0, lane.isReady, isDue { seal(now, &actions) }
    }

    private mutating func seal(_ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        let (events, bytes) = (builder.count, builder.size)
        openSince = nil
        isOverdue = false
        join(WholeBatch(builder.seal(), events: events, bytes: bytes), now, &actions)
    }

    private mutating func join(
        _ batch: WholeBatch<Builder.Batch>, _ now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        sealed &+= UInt64(batch.events)
        sealedBytes += batch.bytes
        perform(lane.append(batch, now: now), now, &actions)
    }

    // MARK: Sending

    private mutating func perform(
        _ steps: [Lane<WholeBatch<Builder.Batch>>.Action], _ now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        for step in steps {
            switch step {
            case .transmit(let item, let ticket):
                flying.insert(ticket.number)
                actions.append(.transmit(item.batch, ticket))
            case .settle(let item, let settlement):
                let trouble = troubles.removeValue(forKey: oldestNumber)?.failure
                let isLost = flying.remove(oldestNumber) != nil
                oldestNumber += 1
                sealedBytes -= item.bytes
                let failure = settlement == .acknowledged ? nil : isLost ? loss : trouble ?? abandonment
                actions.append(.settled(item.batch, events: item.events, failure))
            case .refused(_, let ticket, _): perform(lane.resolve(ticket, .giveUp, now: now), now, &actions)
            case .wait(let until):
                retryAt = until
                needsTimer = true
            }
        }
    }

    /// A transmission ended.
    package mutating func finished(
        _ ticket: Ticket, _ end: AttemptEnd<Failure>, now: ContinuousClock.Instant,
        using random: inout some RandomNumberGenerator, _ actions: inout [Action]
    ) {
        // Transmissions that were written off; see `abandon`.
        guard ticket.number >= oldestNumber else { return }
        flying.remove(ticket.number)
        let outcome = outcome(of: end, ticket.number)
        perform(lane.finished(ticket, outcome, now: now, using: &random), now, &actions)
        sealIfReady(now, &actions)
    }

    /// What the lane shall do: it has no limit for attempts, and no use for the service's words.
    private mutating func outcome(of end: AttemptEnd<Failure>, _ number: UInt64) -> SendOutcome {
        guard case .failed(let failure, let prospect) = end else { return .accepted }
        var trouble = troubles[number] ?? Trouble(failure: failure)
        trouble.failure = failure
        defer { troubles[number] = trouble }
        switch prospect {
        case .permanent: return .rejected(reason: "")
        case .throttled(let after): return .throttled(reason: "", after: after)
        case .retriable, .unknown: break
        }
        trouble.attempts += 1
        if let limit = limits.maximumRetries, trouble.attempts > limit { return .rejected(reason: "") }
        if case .retriable(let after) = prospect { return .retry(reason: "", after: after) }
        return .unknown(reason: "")
    }

    /// The callers have got the results of this many events.
    package mutating func told(_ events: Int, now: ContinuousClock.Instant, _ actions: inout [Action]) {
        done &+= UInt64(events)
        while let first = flushes.first, first.mark <= done {
            flushes.removeFirst()
            actions.append(.flushed(id: first.id))
        }
        admit(now, &actions)
    }

    /// The time of `deadline` has come.
    package mutating func timeReached(now: ContinuousClock.Instant, _ actions: inout [Action]) {
        needsTimer = true
        if let openSince, let wait = limits.maximumWait, openSince.advanced(by: wait) <= now { isOverdue = true }
        if let retryAt, retryAt <= now {
            self.retryAt = nil
            perform(lane.timeReached(now: now), now, &actions)
        }
        sealIfReady(now, &actions)
        expireWaiters(now, &actions)
    }

    // MARK: Flushing and closing

    /// Sends what is here without waiting for more; `flushed` follows when its results have been told.
    package mutating func flush(id: UInt64, now: ContinuousClock.Instant, _ actions: inout [Action]) {
        guard done < taken else { return actions.append(.flushed(id: id)) }
        flushes.append((id, taken))
        sealIfReady(now, &actions)
    }

    /// Nobody waits for this flush any more. Its events go as they are.
    package mutating func cancelFlush(id: UInt64) { flushes.removeAll { $0.id == id } }

    /// Takes nothing more; what is here is still sent.
    package mutating func close(_ actions: inout [Action]) {
        isClosed = true
        while let waiter = waiters.popFirst() { actions.append(.ended(id: waiter.id, .closed)) }
    }

    /// Gives up: what is not in flight fails with `failure`, what is in flight gets no further attempt.
    ///
    /// - Parameter writingOff: what is in flight fails with this at once, whatever becomes of it.
    package mutating func abandon(
        _ failure: Failure, writingOff: Failure? = nil, now: ContinuousClock.Instant, _ actions: inout [Action]
    ) {
        close(&actions)
        retryAt = nil
        abandonment = failure
        loss = writingOff
        lane.halt()
        if builder.count > 0 { seal(now, &actions) }
        perform(lane.abandon(reason: "", includingInFlight: writingOff != nil), now, &actions)
    }
}
