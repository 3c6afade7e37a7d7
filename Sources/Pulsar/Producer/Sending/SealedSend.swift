package import NIOCore

/// One SEND frame, as it goes to the broker every time: the broker must get the same bytes when it has to be sent again.
package struct SealedSend: Sendable {
    /// The lowest id in it, which its receipt names.
    package let firstID: UInt64
    /// The highest id in it, which its refusal names.
    package let lastID: UInt64
    /// False for all but the last chunk of a message: that one's receipt is the message's.
    package let isLastChunk: Bool
    /// Frame sizes, command, checksum and metadata.
    package private(set) var head: ByteBuffer
    package let payload: ByteBuffer

    package init(firstID: UInt64, lastID: UInt64, isLastChunk: Bool = true, head: ByteBuffer, payload: ByteBuffer) {
        precondition(firstID <= lastID)
        self.firstID = firstID
        self.lastID = lastID
        self.isLastChunk = isLastChunk
        self.head = head
        self.payload = payload
    }

    package var size: Int { head.readableBytes + payload.readableBytes }
}

/// Where the broker put what it was sent.
package struct SendPosition: Hashable, Sendable {
    package var ledgerID: Int64
    package var entryID: Int64
    /// Of a message in chunks: its first one's. The others' is the last one's.
    package var firstLedgerID: Int64?
    package var firstEntryID: Int64?

    package init(ledgerID: Int64, entryID: Int64) {
        self.ledgerID = ledgerID
        self.entryID = entryID
    }

    /// The broker had it already, under the same producer name and id, and did not store it again.
    package static let duplicate = SendPosition(ledgerID: -1, entryID: -1)

    package var isDuplicate: Bool { ledgerID == -1 && entryID == -1 }
}
