internal import TailraceSpool

/// Between sockets and the spool: full chunks wait here, in order, for the one thread that writes them.
///
/// Datagrams and streams have limits of their own, so that streams, which can wait, take no room from datagrams, which
/// cannot.
final class IntakeQueue: Sendable {
    enum Lane: Int { case datagrams, streams }

    /// Bytes of a chunk, if messages are no longer.
    static let chunkSize = 256 << 10
    /// Bytes of chunks for streams.
    static let streamBytes = 4 << 20
    /// Empty chunks kept for the next messages; others go back to the system.
    private static let spareLimit = 4

    private struct State {
        var waiting: [(chunk: IntakeChunk, lane: Lane)] = []
        var head = 0
        var inUse = [0, 0]
        var spares: [IntakeChunk] = []
        var isClosed = false
    }

    private final class Box: @unchecked Sendable {
        var state = State()
    }

    private let chunkCapacity: Int
    private let limits: [Int]
    private let monitor = Monitor()
    private let filled: Monitor.Condition
    private let box = Box()

    /// - Parameter buffer: bytes of datagrams at most.
    init(maximumMessage: Int, buffer: Int) {
        chunkCapacity = max(Self.chunkSize, (maximumMessage + 4096) & ~4095)
        limits = [max(2, buffer / chunkCapacity), max(2, Self.streamBytes / chunkCapacity)]
        filled = Monitor.Condition(monitor)
    }

    /// An empty chunk, or nil when the lane's limit is reached.
    func take(_ lane: Lane) -> IntakeChunk? {
        let (chunk, make) = monitor.withLock { () -> (IntakeChunk?, Bool) in
            guard box.state.inUse[lane.rawValue] < limits[lane.rawValue] else { return (nil, false) }
            box.state.inUse[lane.rawValue] += 1
            return (box.state.spares.popLast(), true)
        }
        return chunk ?? (make ? IntakeChunk(capacity: chunkCapacity) : nil)
    }

    /// Passes a chunk on to the writer.
    func put(_ chunk: IntakeChunk, _ lane: Lane) {
        monitor.withLock {
            box.state.waiting.append((chunk, lane))
            filled.signal()
        }
    }

    /// The chunk that has waited longest; nil when the queue is closed and empty.
    func next() -> (chunk: IntakeChunk, lane: Lane)? {
        monitor.lock()
        defer { monitor.unlock() }
        while box.state.head == box.state.waiting.count {
            if box.state.isClosed { return nil }
            filled.wait()
        }
        let next = box.state.waiting[box.state.head]
        box.state.head += 1
        if box.state.head == box.state.waiting.count {
            box.state.waiting.removeAll(keepingCapacity: true)
            box.state.head = 0
        } else if box.state.head >= 1024 {
            box.state.waiting.removeFirst(box.state.head)
            box.state.head = 0
        }
        return next
    }

    /// Gives a chunk back that has been written.
    func recycle(_ chunk: IntakeChunk, _ lane: Lane) {
        chunk.removeAll()
        monitor.withLock {
            box.state.inUse[lane.rawValue] -= 1
            if box.state.spares.count < Self.spareLimit { box.state.spares.append(chunk) }
        }
    }

    /// Whether nothing waits, so that a chunk that is not full is better passed on than held.
    var isEmpty: Bool { monitor.withLock { box.state.head == box.state.waiting.count } }

    /// Chunks in use, in bytes.
    var bytes: Int { monitor.withLock { (box.state.inUse[0] + box.state.inUse[1]) * chunkCapacity } }

    /// Nothing more will be put.
    func close() {
        monitor.withLock {
            box.state.isClosed = true
            filled.broadcast()
        }
    }
}
