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
            rates["agent", default: []].append(try agent(spool))
            rates["client", default: []].append(try client())
        }
        print("events of \(Filling.record) bytes, million for each second of a processor")
        report("agent, spool to Event Hubs messages", "M/s", rates["agent"] ?? [], decimals: 2)
        report("client library, events to messages", "M/s", rates["client"] ?? [], decimals: 2)
    }

    /// Reading, checksums and encoding.
    private func agent(_ spool: Spool) throws -> Double {
        let reader = try spool.reader(from: 0)
        var encoder = EventHubsEncoder(
            maximumSize: 1 << 20, reservesNumbers: true, storage: EncoderStorage(limit: 4), account: nil)
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
