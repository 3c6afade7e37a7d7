import LoadSupport
import TailraceSpool

/// What the spool's thread does with batches, and what filling them costs: into frames, and written; never synced. Segments are
/// used again, as they are while outputs keep up.
final class AppendStage: Stage {
    static let batches = 8

    static let kind = StageKind(
        name: "append", title: "spool append, never synced", records: batches * Filling.batch,
        bytes: batches * Filling.batch * Filling.record
    ) { try AppendStage(directory: "\($0)/append") }

    private let filling: Filling
    private let spool: Spool

    private init(directory: String) throws {
        filling = Filling(directory: directory)
        spool = try filling.open {
            $0.sync = .never
            // A pass ends more than one.
            $0.segmentSize = 4 << 20
            $0.environment.hasThreads = false
        }
    }

    deinit {
        spool.close()
        filling.remove()
    }

    func pass() throws {
        try filling.fill(spool, bytes: Self.kind.bytes, isReleased: true)
    }
}

/// Frames read from the page cache, checked and handed out.
final class SpoolReadingStage: Stage {
    static let kind = StageKind(
        name: "spool-read", title: "spool read from the page cache", records: 8 * Filling.batch,
        bytes: 8 * Filling.batch * Filling.record
    ) { try SpoolReadingStage(directory: "\($0)/read") }

    private let filling: Filling
    private let spool: Spool

    private init(directory: String) throws {
        filling = Filling(directory: directory)
        spool = try filling.open {
            $0.sync = .never
            $0.environment.hasThreads = false
        }
        try filling.fill(spool, bytes: Self.kind.bytes)
    }

    deinit {
        spool.close()
        filling.remove()
    }

    func pass() throws {
        let reader = try spool.reader(from: 0)
        var records = 0
        while let frame = try reader.next() { records += frame.recordCount }
        guard records == Self.kind.records else {
            throw Failure("\(records) records of \(Self.kind.records) were read")
        }
    }
}
