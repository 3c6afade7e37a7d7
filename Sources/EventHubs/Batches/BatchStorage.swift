internal import NIOCore
import Synchronization

/// Storage of batches that are over, for the next ones: pages that are new to the process cost more than writing them.
final class BatchStorage: Sendable {
    /// Buffers kept, and bytes of them, while no batch uses them.
    private static let maximumCount = 8
    private static let maximumBytes = 8 << 20

    private struct State {
        var buffers = CircularBuffer<ByteBuffer>()
        var bytes = 0
    }
    private let state = Mutex(State())

    /// An empty buffer. What others may still see of its last content stays theirs.
    func take() -> ByteBuffer {
        // In one variable: a second reference would make the buffer allocate.
        var buffer = state.withLock { state in
            // Whoever gave the last one back may still hold it, and it would have to be made anew.
            guard state.buffers.count > 1 else { return ByteBuffer() }
            let first = state.buffers.removeFirst()
            state.bytes -= first.capacity
            return first
        }
        if buffer.capacity > 0 { buffer.clear() }
        return buffer
    }

    /// The message is over: the service has it.
    func giveBack(_ buffer: ByteBuffer) {
        guard buffer.capacity > 0 else { return }
        state.withLock { state in
            guard state.buffers.count < Self.maximumCount, state.bytes + buffer.capacity <= Self.maximumBytes else {
                return
            }
            state.buffers.append(buffer)
            state.bytes += buffer.capacity
        }
    }
}
