import EventHubs
import LoadSupport
import NIOCore
import TailraceAgent
import TailraceDelivery
import TailraceSpool

/// Events of 200 bytes into messages, on one thread: by the agent's encoder out of the spool, and by the client library's.
struct EncodingStage {
    let directory: String
    let events: Int

    func run(_ rounds: Int) throws {
        let filling = Filling(directory: directory)
        defer { try? filling.remove() }
        let spool = try filling.open(.never)
        defer { spool.close() }
        try filling.fill(spool, bytes: events * Filling.record)
        var rates: [String: [Double]] = [:]
        for _ in 0..<rounds {
            rates["eventhubs", default: []].append(try eventHubs(spool))
            rates["pulsar", default: []].append(try pulsar(spool))
            rates["client", default: []].append(try client())
        }
        print("events of \(Filling.record) bytes, million for each second of a processor")
        report("agent, spool to Event Hubs messages", "M/s", rates["eventhubs"] ?? [], decimals: 2)
        report("agent, spool to Pulsar batches", "M/s", rates["pulsar"] ?? [], decimals: 2)
        report("client library, events to Event Hubs messages", "M/s", rates["client"] ?? [], decimals: 2)
    }

    private func eventHubs(_ spool: Spool) throws -> Double {
        try agent(
            spool,
            EventHubsEncoder(
                maximumSize: 1 << 20, reservesNumbers: true, storage: EncoderStorage(limit: 4), account: nil))
    }

    private func pulsar(_ spool: Spool) throws -> Double {
        try agent(
            spool,
            PulsarEncoder(maximumSize: 5 << 20, batchSize: 1 << 20, storage: EncoderStorage(limit: 4), account: nil))
    }

    /// Reading, checksums and encoding.
    private func agent<Encoder: BatchEncoder>(_ spool: Spool, _ encoder: Encoder) throws -> Double {
        var encoder = encoder
        let reader = try spool.reader(from: 0)
        let header = encoder.prepare(
            RecordContext(host: "host", source: "/var/log/app.log", input: "app"), key: "/var/log/app.log")
        var count = 0
        let begin = ProcessorTime.seconds()
        encoder.begin(header)
        while let frame = try reader.next() {
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
        let time = ProcessorTime.seconds() - begin
        guard count >= events else { throw Failure("\(count) events of \(events)") }
        return Double(count) / time / 1e6
    }

    /// What filling batches by hand costs, the events' own making included.
    private func client() throws -> Double {
        let body = ByteBuffer(repeating: UInt8(ascii: "x"), count: Filling.record)
        let begin = ProcessorTime.seconds()
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
        for _ in 0..<events {
            let event = EventData(body: body)
            if try batch.tryAdd(event) { continue }
            batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
            guard try batch.tryAdd(event) else { throw Failure("an event does not fit into a batch") }
        }
        return Double(events) / (ProcessorTime.seconds() - begin) / 1e6
    }
}
