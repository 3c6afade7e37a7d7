internal import NIOCore
import Synchronization
internal import TailraceDelivery

/// A client that takes lines one by one, into a buffer of its own, and tells a tally what became of them.
protocol LineTaker: Sendable {
    /// Bytes of a line at most.
    var maximumLine: Int { get }
    /// Lines whose result has not been told.
    var buffered: Int { get }

    /// False: there is no room for it now.
    func tryTake(_ line: ByteBuffer) throws -> Bool
    /// Waits for room.
    func take(_ line: ByteBuffer) async throws
    /// Waits for the results of everything taken; throws when that lasts longer.
    func flush(timeout: Duration) async throws
    /// Gives up what is left.
    func close() async
}

/// Hands lines over to a client, and waits while it has no room.
struct LineHandover<Taker: LineTaker>: LineSink {
    let taker: Taker
    let tally: SendTally
    private(set) var unsent = 0

    init(_ taker: Taker, _ tally: SendTally) {
        self.taker = taker
        self.tally = tally
    }

    var maximumLine: Int { taker.maximumLine }
    var isClosed: Bool { tally.endReason != nil }
    /// The client keeps the time.
    var due: ContinuousClock.Instant? { nil }

    mutating func take(_ count: Int, of scanner: LineScanner) -> Bool {
        guard count > 0, let start = scanner.line(0).baseAddress else { return true }
        let last = scanner.line(count - 1)
        let end = last.baseAddress.map { $0 - start + last.count } ?? 0
        // One copy for all of them: each line is a view of it.
        let block = ByteBuffer(bytes: UnsafeRawBufferPointer(start: start, count: end))
        for number in 0..<count {
            guard !isClosed else {
                unsent += count - number
                return false
            }
            let line = scanner.line(number)
            guard let view = line.baseAddress.flatMap({ block.getSlice(at: $0 - start, length: line.count) }) else {
                preconditionFailure("a line lies in its block")
            }
            do {
                if try !taker.tryTake(view) { try waitForRoom(view) }
            } catch {
                tally.refuse("\(error)", events: 1)
            }
        }
        return true
    }

    /// This thread sleeps until a task has got room for the line: once for each time that the buffer was full.
    private func waitForRoom(_ line: ByteBuffer) throws {
        let result = Mutex<Result<Void, any Error>?>(nil)
        let isOver = Signal()
        Task { [taker] in
            do {
                try await taker.take(line)
                result.withLock { $0 = .success(()) }
            } catch {
                result.withLock { $0 = .failure(error) }
            }
            isOver.raise()
        }
        while true {
            if let result = result.withLock({ $0 }) { return try result.get() }
            isOver.wait(for: .seconds(60))
        }
    }

    mutating func timeOver() -> Bool { true }

    mutating func end() {}
}

extension LineHandover {
    /// How often `watch` is told.
    private static var watchInterval: Duration { .milliseconds(200) }

    /// Sends until the input ends or `stop` is raised, and then what was read. As long as results come, it waits for more of
    /// them; what has none within `patience` is given up.
    func run(
        descriptor: CInt, stop: StopPipe, patience: Duration, watch: (@Sendable (SendProgress) -> Void)?,
        tell: @escaping @Sendable (String) -> Void
    ) async -> LineSender.Result {
        let begun = ContinuousClock.now
        let watching = watch.map { watch in
            Task { [taker, tally] in
                while (try? await Task.sleep(for: Self.watchInterval)) != nil {
                    var progress = tally.progress
                    progress.inFlight = taker.buffered
                    watch(progress)
                }
            }
        }
        let outcome = Mutex(LineFeed.Outcome())
        let reader = Life()
        reader.start("send read") { [self] in
            var sink = self
            let end = LineFeed(descriptor: descriptor, stop: stop, tell: tell).run(into: &sink)
            outcome.withLock { $0 = end }
        }
        await reader.waitForEnd()
        while true {
            let settled = tally.settled
            do {
                try await taker.flush(timeout: patience)
                break
            } catch {
                if tally.settled == settled { break }
            }
        }
        await taker.close()
        watching?.cancel()
        await watching?.value
        var result = LineSender.Result()
        result.duration = begun.duration(to: .now)
        result.progress = tally.progress
        let end = outcome.withLock { $0 }
        if end.unsent > 0, let reason = tally.endReason { result.progress.noteFailure(reason, events: end.unsent) }
        result.passedOver = end.passedOver
        result.unfinished = end.unfinished
        result.inputError = end.error
        return result
    }
}
