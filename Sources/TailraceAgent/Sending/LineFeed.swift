internal import EventHubs
import Glibc
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

/// Reads lines from a descriptor and puts them into batches, on a thread of its own.
struct LineFeed {
    let descriptor: CInt
    let stop: StopPipe
    let queue: LineQueue
    let template: EventTemplate
    let partitionKey: String?
    let maximumBatchBytes: Int
    let maximumBatchEvents: Int
    let maximumWait: Duration
    let tell: @Sendable (String) -> Void

    /// What was read, in the end.
    struct Outcome: Sendable {
        /// Lines that were too long.
        var passedOver: UInt64 = 0
        /// Events that nobody took any more.
        var unsent = 0
        /// Bytes of a line that was not at its end when the reading was stopped.
        var unfinished: UInt64 = 0
        var error: String?
    }

    private static let longLinesTold: UInt64 = 10

    func run() -> Outcome {
        var outcome = Outcome()
        var encoder = EventBatchEncoder(maximumSize: maximumBatchBytes, partitionKey: partitionKey)
        let scanner = LineScanner(maximumLine: encoder.largestBody(template, properties: EventProperties()))
        var bytes = 0
        var due: ContinuousClock.Instant?

        func seal() -> Bool {
            guard encoder.count > 0 else { return true }
            let events = encoder.count
            let batch = LineBatch(encoder.finish(), events: events, bytes: bytes)
            bytes = 0
            due = nil
            if let spare = queue.takeSpare() { encoder.reuse(spare) }
            guard queue.put(batch) else {
                outcome.unsent += events
                return false
            }
            return true
        }
        func encode(_ found: Int) -> Bool {
            var next = 0
            while next < found {
                let limit = min(found - next, maximumBatchEvents - encoder.count)
                let taken = encoder.append(template, upTo: limit) { number in
                    .init(body: scanner.line(next + number), offset: 0, timestamp: 0)
                }
                for number in next..<(next + taken) { bytes += scanner.line(number).count }
                next += taken
                if next < found || encoder.count == maximumBatchEvents {
                    precondition(encoder.count > 0, "every line fits into an empty batch")
                    guard seal() else { return false }
                }
            }
            if encoder.count > 0, due == nil { due = .now.advanced(by: maximumWait) }
            return true
        }
        func tellTooLong() {
            for line in scanner.takeTooLong() {
                outcome.passedOver += 1
                guard outcome.passedOver <= Self.longLinesTold else { continue }
                tell(
                    "line \(line.number): \(counted(line.length, "byte")), and a batch has room for"
                        + " \(scanner.maximumLine); it is not sent")
            }
        }

        reading: while !queue.isClosed {
            switch wait(until: due) {
            case .stopped:
                outcome.unfinished = scanner.unfinished
                break reading
            case .timeOver:
                guard seal() else { break reading }
                continue
            case .readable: break
            }
            let room = scanner.room()
            let count = read(descriptor, room.baseAddress, min(room.count, LineScanner.block))
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                outcome.error = "cannot read standard input: \(SmallFile.describe(errno))"
                break
            }
            if count == 0 {
                _ = encode(scanner.finish())
                tellTooLong()
                break
            }
            scanner.didRead(count)
            while true {
                let found = scanner.scan()
                if found == 0 { break }
                guard encode(found) else { break reading }
            }
            tellTooLong()
        }
        _ = seal()
        queue.end()
        return outcome
    }

    private enum Wait { case readable, timeOver, stopped }

    private func wait(until due: ContinuousClock.Instant?) -> Wait {
        while true {
            var timeout: CInt = -1
            if let due {
                let (seconds, attoseconds) = ContinuousClock.now.duration(to: due).components
                let milliseconds = seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
                if milliseconds <= 0 { return .timeOver }
                timeout = CInt(clamping: milliseconds)
            }
            var descriptors = [
                pollfd(fd: stop.reading, events: Int16(POLLIN), revents: 0),
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&descriptors, 2, timeout)
            if count < 0 { continue }
            if descriptors[0].revents != 0 { return .stopped }
            if descriptors[1].revents != 0 { return .readable }
        }
    }
}
