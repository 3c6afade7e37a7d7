package import Producing
package import TailraceSpool

/// Where a drain delivers to: a service with numbered partitions, and the form that it wants batches in.
///
/// `send` (of `Service`) is called on the drain's thread; its completion may come on any.
package protocol Destination: Service {
    associatedtype Encoder: BatchEncoder where Encoder.Batch == Batch

    /// For messages, such as "hub orders at example.servicebus.windows.net".
    var name: String { get }
    /// Constant for the life of the drain.
    var partitionCount: Int { get }
    /// What a reader of the status should expect, such as "at least once; duplicates only among the batches in flight
    /// at a crash".
    var guarantee: String { get }

    /// For a service that numbers records, and that takes no record twice nor behind a gap: where it stands, one per
    /// partition, after it has taken us for the producers that it names. Nil for any other. Constant.
    var positions: [ServicePosition]? { get }

    /// What it has already it does not take again, so that a ledger that was a little behind at a kill doubles nothing. May
    /// come to be known while records are sent.
    var knowsWhatItHas: Bool { get }

    /// How it numbers them.
    var numbering: ServiceNumbering { get }

    /// Another producer has taken the place of ours: what it goes on with is not ours any more.
    func hasLostProducer(_ partition: Int) -> Bool

    /// The drain has heard that a batch was refused for good: what it sends from now on takes that batch's place. A
    /// service that numbers records takes nothing between its refusal and this, or a batch that was on its way already
    /// would get the refused one's numbers and come before what replaces it.
    func noteRefusal(_ partition: Int)

    /// One encoder per partition; all are used on the drain's thread alone.
    func makeEncoder() -> Encoder
}

extension Destination {
    package var positions: [ServicePosition]? { nil }

    package var knowsWhatItHas: Bool { positions != nil }

    package var numbering: ServiceNumbering { .wrapping }

    package func hasLostProducer(_ partition: Int) -> Bool { false }

    package func noteRefusal(_ partition: Int) {}
}

/// Builds the batches of one partition, one after the other.
///
/// The encoder keeps to the destination's largest batch by its own accounting: `append` takes only what fits.
package protocol BatchEncoder {
    associatedtype Batch: Sendable
    /// What the records of one context share, in wire form: made once per context and kept by the drain.
    associatedtype Header

    /// - Parameter key: the routing key, the same for all batches that this header goes into.
    mutating func prepare(_ context: RecordContext, key: String) -> Header

    /// Begins a batch for the key of `header`; the one before was sealed, or is empty and forgotten.
    mutating func begin(_ header: Header)

    /// Appends records from the beginning of `run` until one does not fit, and returns how many.
    mutating func append(_ run: RecordRun, _ header: Header) -> Int

    /// Records that the drain goes past for now; `append` gets them later. For who keeps account of them in their order.
    mutating func pass(_ run: RecordRun, _ header: Header)

    /// Appends a record that does not fit into an empty batch, with as much of its body as does, marked as truncated
    /// with its original length. Returns the number of body bytes kept; nil, and the batch still empty, when not even
    /// an empty body fits.
    mutating func appendCut(_ record: DeliveryRecord, _ header: Header) -> Int?

    /// Bytes of the batch begun, as the service counts them.
    var size: Int { get }

    /// Ends the batch, which has at least one record.
    mutating func seal() -> Batch

    /// Takes the storage of a batch that the service has done with, to be used again.
    mutating func reuse(_ batch: Batch)

    /// Frees storage that waits to be used again. Called between batches, when there was nothing to encode for a while.
    mutating func releaseStorage()
}

extension BatchEncoder {
    package mutating func pass(_ run: RecordRun, _ header: Header) {}
    package mutating func releaseStorage() {}
}

/// One record as an encoder sees it: views, valid during the call that they were given to.
package struct DeliveryRecord {
    /// The spool's id of the record.
    package let sequence: UInt64
    /// When it was read: milliseconds since 1970, UTC.
    package let time: Int64
    /// Its offset in its source.
    package let offset: UInt64
    package let flags: RecordFlags
    package let body: UnsafeRawBufferPointer
    /// Encoded `RecordAttributes`; usually empty.
    package let attributes: UnsafeRawBufferPointer
}

/// Consecutive records of one frame.
package struct RecordRun {
    private let frame: SpoolFrame
    /// Indices that may be asked for.
    package let indices: Range<Int>

    package init(_ frame: SpoolFrame, _ indices: Range<Int>) {
        self.frame = frame
        self.indices = indices
    }

    package var count: Int { indices.count }

    /// No record of the frame has attributes: all there is to know of them lies in `entries` and the block that these point
    /// into.
    package var isPlain: Bool { frame.attributeCount == 0 }

    package var entries: UnsafeBufferPointer<RecordEntry> { UnsafeBufferPointer(rebasing: frame.entries[indices]) }
    package var block: UnsafeRawPointer? { frame.block.baseAddress }
    package var baseOffset: UInt64 { frame.baseOffset }
    package var time: Int64 { frame.time }

    package subscript(index: Int) -> DeliveryRecord {
        let entry = frame.entry(index)
        var attributes = UnsafeRawBufferPointer(start: nil, count: 0)
        var offset = frame.baseOffset &+ UInt64(entry.start)
        if frame.attributeCount > 0 {
            attributes = frame.attributes(of: index)
            if let own = RecordAttributes.splitOffset(attributes) { (offset, attributes) = own }
        }
        return DeliveryRecord(
            sequence: frame.firstSequence &+ UInt64(index), time: frame.time, offset: offset, flags: entry.flags,
            body: frame.body(index), attributes: attributes)
    }
}
