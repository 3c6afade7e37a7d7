internal import NIOCore
internal import TailraceSpool

/// Gathers the messages of all connections into chunks. On its event loop only, but for `finish`.
final class StreamIntake: @unchecked Sendable {
    /// How long messages gather before they are passed on.
    private static let gathering = TimeAmount.milliseconds(5)
    /// And at most, in nanoseconds, while the writer is busy.
    private static let longestGathering: UInt64 = 1_000_000_000

    let queue: IntakeQueue
    private let counters: IntakeCounters
    private let loop: any EventLoop
    private var chunk: IntakeChunk?
    private var isFlushDue = false
    private var isEnding = false

    init(queue: IntakeQueue, counters: IntakeCounters, loop: any EventLoop) {
        self.queue = queue
        self.counters = counters
        self.loop = loop
    }

    /// False when there is no room now.
    func put(_ message: StreamFramer.Message, peer: PeerAddress, listener: UInt32) -> Bool {
        if let full = chunk, !full.hasRoom(message.bytes.count) {
            queue.put(full, .streams)
            chunk = nil
        }
        if chunk == nil {
            chunk = queue.take(.streams)
            chunk?.since = monotonicNanoseconds()
        }
        guard let chunk else { return false }
        counters.received.wrappingAdd(1, ordering: .relaxed)
        chunk.append(
            .init(
                length: UInt32(message.bytes.count), originalLength: UInt32(clamping: message.originalLength),
                time: wallClockMilliseconds(), peer: peer, listener: listener, isUnterminated: message.isUnterminated),
            message.bytes.baseAddress)
        if !isFlushDue { scheduleFlush() }
        return true
    }

    private func flush() {
        isFlushDue = false
        guard let chunk, chunk.count > 0 else { return }
        // While the writer is busy a chunk fills: each that waits takes its whole size from the limit.
        let isYoung = monotonicNanoseconds() - chunk.since < Self.longestGathering
        if isYoung, !queue.isEmpty, !isEnding { return scheduleFlush() }
        self.chunk = nil
        queue.put(chunk, .streams)
    }

    private func scheduleFlush() {
        isFlushDue = true
        loop.scheduleTask(in: Self.gathering) { self.flush() }
    }

    /// Passes on what is left; from another thread, while the loop still runs.
    func finish() {
        try? loop.submit {
            self.isEnding = true
            self.flush()
        }.wait()
    }
}
