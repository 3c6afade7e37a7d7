import Glibc
import Synchronization
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs
@testable import tailrace

/// What reads the logs of a torture, and can be killed.
protocol TortureReader {
    func start() throws
    /// Without warning: what is not durable is gone.
    func kill()
    /// Whether everything in the open file was read, and is durable.
    var isRead: @Sendable (_ descriptor: Int32) -> Bool { get }
}

/// Four logs that are written without a pause, rotated in every way, and read by an agent that is killed again and again.
final class Torture: Sendable {
    struct Plan: Sendable {
        var seconds: Int
        var rotations: Int
        var kills: Int
        /// Of each log, a second; in bursts.
        var lines = 600
        /// From a kill to the next start, microseconds.
        var longestPause: UInt32 = 400_000
    }

    private let plan: Plan
    private let logs: [TortureLog]
    private let isOver = Atomic<Bool>(false)
    /// Held while the agent must not be killed.
    private let agentLock = Mutex<Void>(())
    private let failures = Mutex<[String]>([])
    private let counts = Mutex<[String: Int]>([:])

    init(_ plan: Plan, logs: String) throws {
        self.plan = plan
        self.logs = try (0..<4).map { try TortureLog("w\($0)", directory: logs, isLink: $0 == Rotation.linked) }
    }

    /// Everything at once, until the time is over; then the writers have stopped and an agent runs.
    func run(_ reader: some TortureReader, seed: UInt64) async throws {
        try reader.start()
        let scratch = TemporaryDirectory("torture")
        let isRead = reader.isRead
        var threads = logs.enumerated().map { index, log in
            TortureThread { self.write(log, seed: seed &+ UInt64(index)) }
        }
        threads.append(TortureThread { self.rotate(scratch.path, isRead, seed: seed &+ 100) })
        var generator = SeededGenerator(seed: seed &+ 200)
        let begin = Self.now()
        for kill in 0..<plan.kills {
            // Evenly, and at no moment that the rotations know.
            let moment = Double(kill) + .random(in: 0.3...0.9, using: &generator)
            let due = Double(plan.seconds) * moment / Double(plan.kills)
            while Self.now() - begin < due { try await Task.sleep(for: .milliseconds(10)) }
            try agentLock.withLock { _ in
                reader.kill()
                usleep(.random(in: 0...plan.longestPause, using: &generator))
                try reader.start()
            }
        }
        while Self.now() - begin < Double(plan.seconds) || rotations < plan.rotations, failures.withLock({ $0.isEmpty })
        {
            try await Task.sleep(for: .milliseconds(20))
        }
        isOver.store(true, ordering: .relaxed)
        for thread in threads { thread.join() }
        let failures = failures.withLock { $0 } + logs.compactMap { log in log.exclusively { $0.failure } }
        guard failures.isEmpty else { throw Installation.Failure(description: failures.joined(separator: "; ")) }
    }

    var balance: TortureBalance { TortureBalance(logs) }
    var rotations: Int { counts.withLock { $0.values.reduce(0, +) } }
    var rotationCounts: String {
        counts.withLock { $0.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ") }
    }

    // MARK: - Threads

    private func write(_ log: TortureLog, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        while !isOver.load(ordering: .relaxed) {
            let burst = Int.random(in: 1...40, using: &generator)
            log.write(burst)
            usleep(UInt32(burst * 1_000_000 / plan.lines))
        }
    }

    private func rotate(_ scratch: String, _ isRead: @escaping (Int32) -> Bool, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let rotator = Rotator(directory: scratch, isRead: isRead)
        // A rotation that was there before the agent saw the log is none of its files.
        do {
            for log in logs { try log.exclusively { try rotator.waitUntilRead($0.descriptor) } }
        } catch {
            failures.withLock { $0.append("\(error)") }
            return
        }
        let pause = plan.seconds * 1_000_000 / plan.rotations
        var kinds: [Rotation] = []
        while !isOver.load(ordering: .relaxed) {
            let begin = Self.now()
            // Each kind comes before one of them comes again.
            if kinds.isEmpty { kinds = Rotation.allCases.shuffled(using: &generator) }
            let rotation = kinds.removeLast()
            let index = Int.random(in: rotation.logs, using: &generator)
            do {
                if rotation.needsReader {
                    try agentLock.withLock { _ in try rotator.rotate(logs[index], rotation) }
                } else {
                    try rotator.rotate(logs[index], rotation)
                }
            } catch {
                failures.withLock { $0.append("\(rotation.rawValue): \(error)") }
                return
            }
            counts.withLock { $0[rotation.rawValue, default: 0] += 1 }
            let rest = pause - Int((Self.now() - begin) * 1_000_000)
            if rest > 0 { usleep(UInt32(rest)) }
        }
    }

    /// By the positions that lie in the spool: what they cover is durable. One of a file that had the same inode before, or of
    /// what the file was before a truncation, may happen to end where this one does: so all that makes a file this one counts.
    static func isRead(_ descriptor: Int32, _ positions: () -> [SourceKey: [UInt8]]) -> Bool {
        guard let status = FileStatus(descriptor: descriptor) else { return false }
        if status.size == 0 { return true }
        return positions().contains { key, value in
            guard let position = FilePosition(key: key, value: value), position.identity == status.identity,
                position.offset == status.size
            else { return false }
            let tail = position.offset - UInt64(position.marker.length)
            return [(0, position.head), (tail, position.marker)].allSatisfy {
                ContentHash(of: descriptor, from: $0, length: Int($1.length)) == $1
            }
        }
    }

    private static func now() -> Double { Double(LogWriter.now()) / 1e9 }
}

/// A thread that is joined.
final class TortureThread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    private var thread = pthread_t()

    init(_ body: @escaping @Sendable () -> Void) {
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(Body(body)).toOpaque())
        precondition(code == 0, "no thread: error \(code)")
    }

    func join() { pthread_join(thread, nil) }
}
