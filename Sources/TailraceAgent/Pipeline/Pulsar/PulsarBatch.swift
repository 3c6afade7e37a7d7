internal import NIOCore
package import Pulsar
import Synchronization

/// Records in the layout of a Pulsar batch, without the numbers that they get when they are sent.
package final class PulsarBatch: Sendable {
    /// How many records are in it.
    package let count: Int
    /// The routing key of all of them.
    let key: String
    private let content: Mutex<BatchPayload>

    init(_ payload: BatchPayload, key: String) {
        count = payload.count
        self.key = key
        content = Mutex(payload)
    }

    package var payload: BatchPayload { content.withLock { $0 } }

    /// The bytes, for their storage to be used again; the batch is empty afterwards.
    func takeStorage() -> ByteBuffer {
        content.withLock { payload in
            defer { payload = BatchPayload() }
            return payload.bytes
        }
    }
}
