internal import Logging
internal import Producing
internal import TailraceSpool

/// What is done with batches that a service refuses for good: they are divided until nothing but the record that it
/// minds is left, and that is kept aside.
///
/// The records are still in the spool: read again, they need no second copy in memory.
struct RefusedRecords<D: Destination> {
    private let parts: DrainParts<D>
    private let deadLetters: DeadLetters

    init(_ parts: DrainParts<D>) {
        self.parts = parts
        deadLetters = DeadLetters(parts.deadLetters, logger: parts.logger)
    }

    /// A refused batch in halves; empty when it cannot be divided. Throws when the spool cannot be read now.
    func split(
        _ span: RecordSpan, _ partition: Int, _ records: Int, _ routes: RouteTable<D.Encoder.Header>
    ) throws -> [LaneEngine<D, RecordSpan>.Item] {
        guard records > 1 else { return [] }
        let half = (records + 1) / 2
        // The lane's own encoder may be in the middle of a batch.
        var encoder = parts.destination.makeEncoder()
        var pieces: [LaneEngine<D, RecordSpan>.Item] = []
        var piece = (span: RecordSpan(first: 0, end: 0), records: 0)
        func sealPiece() {
            guard piece.records > 0 else { return }
            let size = encoder.size
            pieces.append(.init(batch: encoder.seal(), tag: piece.span, bytes: size, records: piece.records))
            piece.records = 0
        }
        let reader = try parts.spool.reader(from: span.first)
        while let view = try reader.next(), view.firstSequence < span.end {
            let (context, key, place) = routes.decode(view.context)
            guard place == partition else { continue }
            let header = encoder.prepare(context, key: key)
            var (index, end) = span.indices(of: view)
            while index < end {
                if piece.records == 0 {
                    encoder.begin(header)
                    piece.span.first = view.firstSequence + UInt64(index)
                }
                let run = RecordRun(view, index..<min(end, index + half - piece.records))
                var taken = encoder.append(run, header)
                if taken == 0, piece.records == 0 {
                    guard encoder.appendCut(run[index], header) != nil else { return [] }
                    taken = 1
                }
                index += taken
                piece.records += taken
                piece.span.end = view.firstSequence + UInt64(index)
                if piece.records == half || index < end { sealPiece() }
            }
        }
        sealPiece()
        return pieces
    }

    /// Puts the records of a given-up batch aside, and returns how many could be kept.
    func keep(
        _ span: RecordSpan, _ partition: Int, _ routes: RouteTable<D.Encoder.Header>, _ reason: String
    ) -> Int {
        var kept = 0
        do {
            let reader = try parts.spool.reader(from: span.first)
            while let view = try reader.next(), view.firstSequence < span.end {
                guard routes.decode(view.context).partition == partition else { continue }
                let (first, end) = span.indices(of: view)
                if deadLetters.append(view, first..<end, reason: reason) { kept += end - first }
            }
        } catch {
            parts.logger.error("cannot read refused records again", metadata: ["reason": "\(error)"])
        }
        return kept
    }

    /// Puts a record aside that no batch has room for; false when it could not be kept.
    func keep(_ view: SpoolFrame, _ index: Int, _ reason: String) -> Bool {
        parts.logger.error(
            "a record cannot be sent and goes to the dead-letter area",
            metadata: ["reason": "\(reason)", "sequence": "\(view.firstSequence + UInt64(index))"])
        return deadLetters.append(view, index..<(index + 1), reason: reason)
    }
}

/// The ids of a batch: its first, and one more than its last.
///
/// Every record of the batch's partition between them is in it, or was acknowledged before.
struct RecordSpan {
    var first: UInt64
    var end: UInt64

    /// The records of a frame that lie in it.
    func indices(of view: SpoolFrame) -> (first: Int, end: Int) {
        (
            Int(max(first, view.firstSequence) - view.firstSequence),
            Int(min(end, view.endSequence) - view.firstSequence)
        )
    }
}
