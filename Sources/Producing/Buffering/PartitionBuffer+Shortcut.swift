/// The way of most events: into the open batch, and nothing else happens.
///
/// This is all that is done for every event, so it is inlinable: it is compiled together with the protocol's builder, in the
/// module that has it. What is done once for many events stays generic.
extension PartitionBuffer {
    /// How far the open batch may grow before anything else may have to happen. As it stands here: not at all.
    @usableFromInline
    struct Shortcut: Sendable {
        /// It is closed once this many events have been taken, ever.
        @usableFromInline var events: UInt64 = 0
        /// It ends with the event that makes the open batch this large, or full.
        @usableFromInline var size = 0

        @usableFromInline init() {}
    }

    @usableFromInline
    enum Joining {
        case joined
        /// Now there may be more to do: call `shortcutEnded`.
        case joinedLast
        /// As it was; this is for `add` to decide.
        case refused
    }

    /// Adds the event to the open batch if it is clear that nothing else has to happen before.
    @inlinable
    mutating func join(_ event: Builder.Event) throws(Failure) -> Joining {
        guard taken < shortcut.events, try builder.add(event) else { return .refused }
        taken &+= 1
        guard builder.size >= shortcut.size || builder.isFull else { return .joined }
        shortcut = Shortcut()
        return .joinedLast
    }

    /// After an event was taken.
    mutating func openShortcut() {
        // The first event of a batch begins its time, the last one that there is room for ends it; what is due now
        // waits for the lane.
        guard !isClosed, waiters.isEmpty, builder.count > 0 else { return }
        let size = min(lane.isReady ? limits.eagerSize : .max, limits.maximumBytes - sealedBytes)
        guard builder.size < size else { return }
        shortcut.events = done &+ UInt64(limits.maximumEvents) &- 1
        shortcut.size = size
    }

    /// After `joinedLast`.
    mutating func shortcutEnded(_ now: ContinuousClock.Instant, _ actions: inout [Action]) {
        sealIfReady(now, &actions)
        openShortcut()
    }
}
