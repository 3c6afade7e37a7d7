internal import NIOCore

/// Buffers of batches that the service has done with, for all partitions of an output. Used on the drain's thread.
package final class EncoderStorage {
    /// Buffers kept at most.
    private let limit: Int
    private var spare: [ByteBuffer] = []

    package init(limit: Int = 4) { self.limit = limit }

    func take() -> ByteBuffer? { spare.popLast() }

    func putBack(_ buffer: ByteBuffer) {
        if spare.count < limit { spare.append(buffer) }
    }

    func removeAll() { spare = [] }
}
