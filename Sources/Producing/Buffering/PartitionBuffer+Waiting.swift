/// What is enqueued.
package enum BufferItem<Builder: BatchBuilder>: Sendable {
    case event(Builder.Event)
    case batch(WholeBatch<Builder.Batch>)

    var events: Int {
        switch self {
        case .event: 1
        case .batch(let batch): batch.events
        }
    }
}

/// How the wait for room ended.
package enum WaitEnd<Failure: Error>: Sendable {
    case taken
    /// The deadline came first; the event was not taken.
    case timedOut
    case cancelled
    case closed
    /// The event can never be taken.
    case failed(Failure)
}

/// Waiting for room: first come, first served.
extension PartitionBuffer {
    /// Takes `item` now, or when there is room for it; `ended` follows in either case, once.
    package mutating func enqueue(
        _ item: BufferItem<Builder>, id: UInt64, deadline: ContinuousClock.Instant?, now: ContinuousClock.Instant,
        _ actions: inout [Action]
    ) {
        guard !isClosed else { return actions.append(.ended(id: id, .closed)) }
        waiters.append(Waiter(id: id, item: item, deadline: deadline))
        admit(now, &actions)
        // Not before it was clear that it must wait: a deadline that has passed does not matter where there is room.
        expireWaiters(now, &actions)
        needsTimer = true
    }

    /// True: it waited, and does not any more; no `ended` follows.
    package mutating func cancelWait(id: UInt64, now: ContinuousClock.Instant, _ actions: inout [Action]) -> Bool {
        let before = waiters.count
        waiters.removeAll { $0.id == id }
        guard waiters.count < before else { return false }
        // It may have stood before others that need less room.
        admit(now, &actions)
        return true
    }

    mutating func admit(_ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        while let first = waiters.first, hasRoom(for: first.item.events) {
            waiters.removeFirst()
            switch first.item {
            case .event(let event):
                do throws(Failure) {
                    try take(event, { now }, &actions)
                    actions.append(.ended(id: first.id, .taken))
                } catch {
                    actions.append(.ended(id: first.id, .failed(error)))
                }
            case .batch(let batch):
                take(batch, now, &actions)
                actions.append(.ended(id: first.id, .taken))
            }
        }
    }

    mutating func expireWaiters(_ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        func isLate(_ waiter: Waiter) -> Bool { waiter.deadline.map { $0 <= now } ?? false }
        guard waiters.contains(where: isLate) else { return }
        for waiter in waiters where isLate(waiter) { actions.append(.ended(id: waiter.id, .timedOut)) }
        waiters.removeAll(where: isLate)
        admit(now, &actions)
    }
}
