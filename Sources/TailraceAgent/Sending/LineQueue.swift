internal import EventHubs
internal import NIOCore
import Synchronization
internal import TailraceDelivery

/// A batch of lines, ready to send.
final class LineBatch: Sendable {
    let content: PublishableBatch
    let size: Int
    var events: Int { content.count }
    /// Of the lines alone.
    let bytes: Int
    /// When it was transmitted first.
    let begun = Mutex<ContinuousClock.Instant?>(nil)

    init(_ payload: ByteBuffer, events: Int, bytes: Int) {
        size = payload.readableBytes
        content = PublishableBatch(payload, count: events)
        self.bytes = bytes
    }
}

/// Batches between the thread that reads and the one that sends: so many at a time, until they are settled.
final class LineQueue: Sendable {
    private struct State {
        var batches: [LineBatch] = []
        var spare: [ByteBuffer] = []
        /// Given out and not settled.
        var outstanding = 0
        var hasEnded = false
        /// Nobody takes batches any more.
        var isClosed = false
    }
    private let state = Mutex(State())
    private let limit: Int
    private let stop: StopPipe
    private let roomIsThere = Signal()
    /// Raised when there is something to take, or nothing will come any more.
    let signal = Signal()

    /// - Parameter stop: raised when nobody takes batches any more.
    init(limit: Int, stop: StopPipe) {
        self.limit = limit
        self.stop = stop
    }

    /// Waits for room; false when nobody takes batches any more.
    func put(_ batch: LineBatch) -> Bool {
        while true {
            let isDone: Bool? = state.withLock { state in
                if state.isClosed { return false }
                guard state.outstanding < limit else { return nil }
                state.outstanding += 1
                state.batches.append(batch)
                return true
            }
            if let isDone {
                signal.raise()
                return isDone
            }
            roomIsThere.wait(for: .seconds(1))
        }
    }

    /// Nothing more comes.
    func end() {
        state.withLock { $0.hasEnded = true }
        signal.raise()
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    func close() {
        state.withLock { $0.isClosed = true }
        roomIsThere.raise()
        stop.raise()
    }

    func take() -> (batches: [LineBatch], hasEnded: Bool) {
        state.withLock { state in
            defer { state.batches = [] }
            return (state.batches, state.hasEnded)
        }
    }

    /// The batch is over; its storage can be used again.
    func settle(_ batch: consuming LineBatch) {
        let payload = batch.content.takePayload()
        state.withLock { state in
            state.outstanding -= 1
            if state.spare.count < limit { state.spare.append(payload) }
        }
        roomIsThere.raise()
    }

    func takeSpare() -> ByteBuffer? { state.withLock { $0.spare.popLast() } }
}
