package import AMQP
package import Logging
internal import NIOCore
internal import TailraceSpool

/// Reads what a hub has stored, once it is stopped.
package enum HubStore {
    /// Calls `body` with the body of every event of a partition, in the order of their sequence numbers. The bytes are
    /// valid during the call. Returns how many there were.
    ///
    /// - Throws: `SpoolError` when the partition cannot be opened (the hub still runs), `LocalHubError` for an event
    ///   that is no message.
    @discardableResult
    package static func forEachBody(
        directory: String, partition: Int, logger: Logger, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws -> Int {
        try forEachEvent(directory: directory, partition: partition, logger: logger) { try forEachData(of: $0, body) }
    }

    /// As `forEachBody`, with the whole event.
    @discardableResult
    package static func forEachMessage(
        directory: String, partition: Int, logger: Logger, _ body: (AMQPMessage) -> Void
    ) throws -> Int {
        try forEachEvent(directory: directory, partition: partition, logger: logger) {
            body(try AMQPMessage(decoding: $0))
        }
    }

    private static func forEachEvent(
        directory: String, partition: Int, logger: Logger, _ body: (ByteBuffer) throws -> Void
    ) throws -> Int {
        let spool = try Spool.open(SpoolConfiguration(directory: "\(directory)/partition-\(partition)"), logger: logger)
        defer { spool.close() }
        let reader = try spool.reader(from: spool.statistics().firstSequence)
        var buffer = ByteBuffer()
        var count = 0
        while let frame = try reader.next() {
            for index in 0..<frame.recordCount {
                buffer.clear()
                buffer.writeBytes(frame.body(index))
                try body(buffer)
                count += 1
            }
        }
        return count
    }

    static func forEachData(of event: ByteBuffer, _ body: (UnsafeRawBufferPointer) -> Void) throws {
        var sections = MessageSections(event)
        while let section = try sections.next() {
            guard section.kind == .data else { continue }
            event.withUnsafeReadableBytes { bytes in
                let start = section.content.lowerBound - event.readerIndex
                body(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + section.content.count)]))
            }
        }
    }
}
