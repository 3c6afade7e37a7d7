import Synchronization

/// What became of lines, as a client's callbacks tell it.
final class SendTally: Sendable {
    private let state = Mutex((progress: SendProgress(), endReason: String?.none))
    private let stop: StopPipe

    /// - Parameter stop: raised when nothing will be taken any more.
    init(_ stop: StopPipe) { self.stop = stop }

    var progress: SendProgress { state.withLock { $0.progress } }
    /// Why nothing will be taken any more.
    var endReason: String? { state.withLock { $0.endReason } }
    /// Events whose end is known.
    var settled: UInt64 { state.withLock { $0.progress.events + $0.progress.failed } }

    func accept(events: Int, bytes: Int) {
        state.withLock {
            $0.progress.events += UInt64(events)
            $0.progress.bytes += UInt64(bytes)
        }
    }

    /// - Parameter isForEver: so it will be with all that follow.
    func refuse(_ reason: String, events: Int, isForEver: Bool = false) {
        state.withLock {
            $0.progress.noteFailure(reason, events: events)
            if isForEver, $0.endReason == nil { $0.endReason = reason }
        }
        if isForEver { stop.raise() }
    }
}
