internal import NIOCore
import Synchronization

/// Runs the buffer of one partition against the service: takes calls from any thread, and performs what the buffer says
/// in its order and outside of its lock.
///
/// Whoever finds actions to perform and nobody at it performs them, and what is added meanwhile. So nothing waits for
/// another thread, and nothing of one partition is done by two at once.
@usableFromInline
package final class PartitionRunner<Builder: BatchBuilder, Service: BufferedService>: Sendable
where Service.Batch == Builder.Batch, Service.Failure == Builder.Failure {
    @usableFromInline package typealias Failure = Builder.Failure
    @usableFromInline package typealias Buffer = PartitionBuffer<Builder>
    package typealias Result = BufferedResult<Builder.Batch, Failure>

    @usableFromInline
    struct State: Sendable {
        @usableFromInline var buffer: Buffer
        /// To be performed by whoever `isDriving`.
        var actions: [Buffer.Action] = []
        var grants = 0
        var isDriving = false
        /// Transmissions without a slot, in their order.
        var ready = CircularBuffer<(Builder.Batch, Buffer.Ticket)>()
        var waits: [UInt64: CheckedContinuation<WaitEnd<Failure>, Never>] = [:]
        /// Enqueues that were cancelled before they waited.
        var cancelled: Set<UInt64> = []
        var flushes: [UInt64: FlushGroup] = [:]
        var nextID: UInt64 = 0
        /// The time of the earliest timer that is set.
        var alarm: ContinuousClock.Instant?
        /// Results that the callbacks have not got.
        var results = CircularBuffer<Result>()
        var isTelling = false
        /// Nothing more is given to the service.
        var abandonment: Failure?
        var random: any RandomNumberGenerator & Sendable

        mutating func makeID() -> UInt64 {
            defer { nextID += 1 }
            return nextID
        }
    }

    let index: Int
    private let service: Service
    let timer: EngineTimer
    private let slots: SendSlots
    private let callbacks: BufferedCallbacks<Builder.Batch, Failure>
    @usableFromInline let state: Mutex<State>

    init(
        index: Int, builder: Builder, limits: BufferLimits, service: Service, timer: EngineTimer, slots: SendSlots,
        callbacks: BufferedCallbacks<Builder.Batch, Failure>, random: any RandomNumberGenerator & Sendable
    ) {
        self.index = index
        self.service = service
        self.timer = timer
        self.slots = slots
        self.callbacks = callbacks
        state = Mutex(State(buffer: PartitionBuffer(builder, limits: limits), random: random))
    }

    // MARK: Calls

    /// Events whose result has not been told.
    package var count: Int { state.withLock { $0.buffer.count } }

    /// Enqueues that wait for room.
    package var waiting: Int { state.withLock { $0.buffer.waiters.count } }

    /// Takes the event if that needs no waiting.
    @inlinable
    package func add(_ event: Builder.Event) throws(Failure) -> Buffer.Admission {
        switch try state.withLock({ (state) throws(Failure) in try state.buffer.join(event) }) {
        case .joined: return .taken
        case .joinedLast:
            shortcutEnded()
            return .taken
        case .refused: return try addWithCare(event)
        }
    }

    @usableFromInline
    func shortcutEnded() { run { $0.buffer.shortcutEnded(timer.now(), &$0.actions) } }

    @usableFromInline
    func addWithCare(_ event: Builder.Event) throws(Failure) -> Buffer.Admission {
        try run { (state) throws(Failure) in
            try state.buffer.add(event, now: timer.now(), &state.actions)
        }
    }

    /// Takes `item` when there is room for it.
    package func enqueue(
        _ item: BufferItem<Builder>, deadline: ContinuousClock.Instant?
    ) async -> WaitEnd<Failure> {
        let id = run { $0.makeID() }
        let end = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                run { state in
                    guard state.cancelled.remove(id) == nil, !Task.isCancelled else {
                        state.actions.append(.ended(id: id, .cancelled))
                        state.waits[id] = continuation
                        return
                    }
                    state.waits[id] = continuation
                    state.buffer.enqueue(item, id: id, deadline: deadline, now: timer.now(), &state.actions)
                }
            }
        } onCancel: {
            run { state in
                if state.buffer.cancelWait(id: id, now: timer.now(), &state.actions) {
                    state.actions.append(.ended(id: id, .cancelled))
                } else if state.waits[id] == nil {
                    state.cancelled.insert(id)
                }
            }
        }
        if Task.isCancelled { _ = run { $0.cancelled.remove(id) } }
        return end
    }

    /// `group` is told when the results of all events before this call have been told.
    func flush(_ group: FlushGroup) {
        run { state in
            let id = state.makeID()
            state.flushes[id] = group
            state.buffer.flush(id: id, now: timer.now(), &state.actions)
        }
    }

    func cancel(_ group: FlushGroup) {
        run { state in
            for (id, other) in state.flushes where other === group {
                state.flushes[id] = nil
                state.buffer.cancelFlush(id: id)
            }
        }
    }

    func close() { run { $0.buffer.close(&$0.actions) } }

    func abandon(_ failure: Failure, writingOff: Failure?) {
        run { state in
            state.abandonment = failure
            state.buffer.abandon(failure, writingOff: writingOff, now: timer.now(), &state.actions)
        }
    }

    // MARK: Driving

    private func run<Value, E: Error>(_ body: (inout State) throws(E) -> Value) throws(E) -> Value {
        var drives = false
        var alarm: ContinuousClock.Instant?
        // What `body` did before it threw is performed too.
        defer {
            if let alarm { setTimer(alarm) }
            if drives { drive() }
        }
        return try state.withLock { (state) throws(E) in
            defer {
                alarm = Self.nextAlarm(&state)
                if !state.isDriving, !state.actions.isEmpty || state.grants > 0 {
                    state.isDriving = true
                    drives = true
                }
            }
            return try body(&state)
        }
    }

    /// The time for a timer that must be set now.
    private static func nextAlarm(_ state: inout State) -> ContinuousClock.Instant? {
        guard state.buffer.needsTimer else { return nil }
        state.buffer.needsTimer = false
        guard let deadline = state.buffer.deadline, state.alarm.map({ deadline < $0 }) ?? true else { return nil }
        state.alarm = deadline
        return deadline
    }

    private func setTimer(_ time: ContinuousClock.Instant) {
        timer.schedule(time) { [weak self] in self?.timeReached(time) }
    }

    private func timeReached(_ time: ContinuousClock.Instant) {
        run { state in
            // A timer that an earlier one replaced has nothing to do.
            guard state.alarm == time else { return }
            state.alarm = nil
            state.buffer.timeReached(now: timer.now(), &state.actions)
        }
    }

    private func drive() {
        while true {
            let work = state.withLock { state -> (actions: [Buffer.Action], grants: Int)? in
                guard !state.actions.isEmpty || state.grants > 0 else {
                    state.isDriving = false
                    return nil
                }
                defer {
                    state.actions.removeAll()
                    state.grants = 0
                }
                return (state.actions, state.grants)
            }
            guard let work else { return }
            for action in work.actions { perform(action) }
            for _ in 0..<work.grants { sendNext() }
        }
    }

    private func perform(_ action: Buffer.Action) {
        switch action {
        case .transmit(let batch, let ticket):
            state.withLock { $0.ready.append((batch, ticket)) }
            if slots.acquire({ self.run { $0.grants += 1 } }) { sendNext() }
        case .settled(let batch, let events, let failure):
            tell(Result(partition: index, batch: batch, events: events, failure: failure))
        case .ended(let id, let end): state.withLock { $0.waits.removeValue(forKey: id) }?.resume(returning: end)
        case .flushed(let id): state.withLock { $0.flushes.removeValue(forKey: id) }?.partitionDone()
        }
    }

    // MARK: Sending

    /// There is a slot for the first transmission that waits for one.
    private func sendNext() {
        let next = state.withLock { state in state.ready.popFirst().map { ($0, $1, state.abandonment) } }
        guard let (batch, ticket, abandonment) = next else {
            preconditionFailure("as many slots as transmissions were asked for")
        }
        // Held back until now, and given up meanwhile.
        if let abandonment { return finished(ticket, .failed(abandonment, .permanent)) }
        service.send(batch, partition: index) { self.finished(ticket, $0) }
    }

    private func finished(_ ticket: Buffer.Ticket, _ end: AttemptEnd<Failure>) {
        slots.release()
        run { state in
            func finish(_ random: inout some RandomNumberGenerator) {
                state.buffer.finished(ticket, end, now: timer.now(), using: &random, &state.actions)
            }
            var random = state.random
            finish(&random)
            state.random = random
        }
    }

    // MARK: Telling

    private func tell(_ result: Result) {
        callbacks.settled?(result)
        guard callbacks.call != nil else {
            callbacks.observe?(result)
            state.withLock { $0.buffer.told(result.events, now: timer.now(), &$0.actions) }
            return
        }
        let begins = state.withLock { state in
            state.results.append(result)
            defer { state.isTelling = true }
            return !state.isTelling
        }
        // On a task, because a callback may take its time, and this may be the thread of all connections.
        if begins { Task { tellAll() } }
    }

    private func tellAll() {
        while true {
            let next = state.withLock { state in
                if state.results.isEmpty { state.isTelling = false }
                return state.results.popFirst()
            }
            guard let next else { return }
            callbacks.call?(next)
            callbacks.observe?(next)
            run { $0.buffer.told(next.events, now: timer.now(), &$0.actions) }
        }
    }
}
