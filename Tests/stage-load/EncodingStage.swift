import EventHubs
import LoadSupport
import NIOCore
import TailraceAgent
import TailraceDelivery
import TailraceSpool

/// Records of 200 bytes into messages, by the agent's encoder: a frame of the spool that is in memory, time and again.
final class EncodingStage<Encoder: BatchEncoder>: Stage {
    private let filling: Filling
    private let spool: Spool
    private let reader: SpoolReader
    /// Valid as long as nothing more is read.
    private let frame: SpoolFrame
    private var encoder: Encoder
    private let header: Encoder.Header

    fileprivate init(directory: String, _ encoder: Encoder) throws {
        var encoder = encoder
        filling = Filling(directory: directory)
        spool = try filling.open {
            $0.sync = .never
            $0.environment.hasThreads = false
        }
        try filling.fill(spool, bytes: 1)
        reader = try spool.reader(from: 0)
        guard let frame = try reader.next() else { throw Failure("the spool is empty") }
        self.frame = frame
        header = encoder.prepare(
            RecordContext(host: "host", source: "/var/log/app.log", input: "app"), key: "/var/log/app.log")
        self.encoder = encoder
    }

    deinit {
        spool.close()
        filling.remove()
    }

    func pass() throws {
        var count = 0
        encoder.begin(header)
        for _ in 0..<EncodingStages.frames {
            var index = 0
            while index < frame.recordCount {
                let taken = encoder.append(RecordRun(frame, index..<frame.recordCount), header)
                index += taken
                count += taken
                guard index < frame.recordCount else { break }
                encoder.reuse(encoder.seal())
                encoder.begin(header)
            }
        }
        encoder.reuse(encoder.seal())
        guard count == EncodingStages.records else { throw Failure("\(count) records of \(EncodingStages.records)") }
    }
}

enum EncodingStages {
    fileprivate static let frames = 8
    fileprivate static let records = frames * Filling.batch

    static let eventHubs = StageKind(
        name: "encode-eventhubs", title: "records to Event Hubs messages", records: records,
        bytes: records * Filling.record
    ) {
        try EncodingStage(
            directory: "\($0)/eventhubs",
            EventHubsEncoder(
                maximumSize: 1 << 20, reservesNumbers: true, storage: EncoderStorage(limit: 4), account: nil))
    }

    static let pulsar = StageKind(
        name: "encode-pulsar", title: "records to Pulsar batches", records: records, bytes: records * Filling.record
    ) {
        try EncodingStage(
            directory: "\($0)/pulsar",
            PulsarEncoder(maximumSize: 5 << 20, batchSize: 1 << 20, storage: EncoderStorage(limit: 4), account: nil))
    }
}

/// Events into messages by the client library, when batches are filled by hand; the events' own making is part of it.
struct ClientStage: Stage {
    private static let events = 20_000

    static let kind = StageKind(
        name: "client", title: "client library, events to Event Hubs messages", records: events,
        bytes: events * Filling.record
    ) { _ in ClientStage() }

    private let body = ByteBuffer(repeating: UInt8(ascii: "x"), count: Filling.record)

    func pass() throws {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
        for _ in 0..<Self.events {
            let event = EventData(body: body)
            if try batch.tryAdd(event) { continue }
            batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
            guard try batch.tryAdd(event) else { throw Failure("an event does not fit into a batch") }
        }
    }
}
