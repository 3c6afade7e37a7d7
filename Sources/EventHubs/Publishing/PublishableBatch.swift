package import NIOCore
import Synchronization

/// An encoded batch on its way to a partition under numbers of idempotent publishing.
///
/// Its events must have room for their numbers (`reservesNumbers` of batch, encoder or template). The numbers are written
/// at the first transmission and stay, so that the service knows a retry by them.
package final class PublishableBatch: Sendable {
    /// How many events are in it.
    package let count: Int
    package let format: UInt32

    private struct State {
        var payload: ByteBuffer
        var stamp: PublishingStamp?
    }
    private let state: Mutex<State>

    package init(_ payload: ByteBuffer, count: Int, format: UInt32 = EventHubsName.batchFormat) {
        self.count = count
        self.format = format
        state = Mutex(State(payload: payload))
    }

    /// The message's bytes.
    package var payload: ByteBuffer { state.withLock { $0.payload } }

    /// The number of the first event; nil: the batch was not transmitted yet.
    package var firstNumber: Int32? { state.withLock { $0.stamp?.firstNumber } }

    /// The message's bytes, for their storage to be used again; the batch is empty afterwards.
    package func takePayload() -> ByteBuffer {
        state.withLock { state in
            let payload = state.payload
            state.payload = ByteBuffer()
            return payload
        }
    }

    /// The bytes with these numbers in them. Nil: the events have no room for numbers, or are not `count` ones.
    func stamped(_ stamp: PublishingStamp) -> ByteBuffer? {
        state.withLock { state in
            if state.stamp == stamp { return state.payload }
            let isWritten = state.payload.withUnsafeMutableReadableBytes { bytes in
                PublishingStampWriter.write(stamp, format: format, into: bytes) == count
            }
            guard isWritten else { return nil }
            state.stamp = stamp
            return state.payload
        }
    }
}
