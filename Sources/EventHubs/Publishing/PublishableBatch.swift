package import NIOCore
import Synchronization

/// An encoded batch on its way to a partition under numbers of idempotent publishing.
///
/// Its events must have room for their numbers (`reservesNumbers` of batch, encoder or template). The numbers are written
/// at the first transmission, if the encoder has not written the same ones, and stay, so that the service knows a retry by them.
package final class PublishableBatch: Sendable {
    /// How many events are in it.
    package let count: Int
    package let format: UInt32

    private struct State {
        var payload: ByteBuffer
        /// What stands in the bytes.
        var written: PublishingStamp?
        var isTransmitted = false

        /// False, and some of the events may bear it, when they have no room for it or are not `count` ones.
        mutating func write(_ stamp: PublishingStamp, _ format: UInt32, _ count: Int) -> Bool {
            written = nil
            let isDone = payload.withUnsafeMutableReadableBytes { bytes in
                PublishingStampWriter.write(stamp, format: format, into: bytes) == count
            }
            if isDone { written = stamp }
            return isDone
        }
    }
    private let state: Mutex<State>
    private let forecast: (PublishingForecast, position: Int)?

    /// - Parameters:
    ///   - written: the stamp that stands in the events already.
    ///   - forecast: told which stamp they get, when it is another one.
    package init(
        _ payload: ByteBuffer, count: Int, format: UInt32 = EventHubsName.batchFormat, written: PublishingStamp? = nil,
        forecast: (PublishingForecast, position: Int)? = nil
    ) {
        self.count = count
        self.format = format
        self.forecast = forecast
        state = Mutex(State(payload: payload, written: written))
    }

    /// The message's bytes.
    package var payload: ByteBuffer { state.withLock { $0.payload } }

    /// The number of the first event; nil: the batch was not transmitted yet.
    package var firstNumber: Int32? { state.withLock { $0.isTransmitted ? $0.written?.firstNumber : nil } }

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
            if state.written != stamp {
                if let (forecast, position) = forecast { forecast.note(stamp, at: position) }
                guard state.write(stamp, format, count) else { return nil }
            }
            state.isTransmitted = true
            return state.payload
        }
    }
}
