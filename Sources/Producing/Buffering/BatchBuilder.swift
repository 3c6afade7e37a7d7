/// Puts events together into the batches of one partition, one after the other: the part of buffering that depends on
/// the protocol.
@usableFromInline
package protocol BatchBuilder: Sendable {
    associatedtype Event: Sendable
    associatedtype Batch: Sendable
    associatedtype Failure: Error

    /// Events of the open batch.
    var count: Int { get }
    /// Bytes of the open batch.
    var size: Int { get }
    /// The open batch takes no more, so it has nothing to wait for.
    var isFull: Bool { get }

    /// Adds an event to the open batch.
    ///
    /// - Returns: false when it does not fit; the batch is then as before.
    mutating func add(_ event: Event) throws(Failure) -> Bool

    /// Why an event that fits into no batch is refused.
    func tooLarge(_ event: Event) -> Failure

    /// The open batch, which has events; the next one is then open, and empty.
    mutating func seal() -> Batch
}

extension BatchBuilder {
    /// Known only when an event does not fit.
    @inlinable package var isFull: Bool { false }
}

/// A batch that was built elsewhere, to be sent as it is.
package struct WholeBatch<Batch: Sendable>: Sendable {
    package let batch: Batch
    package let events: Int
    package let bytes: Int

    package init(_ batch: Batch, events: Int, bytes: Int) {
        self.batch = batch
        self.events = events
        self.bytes = bytes
    }
}
