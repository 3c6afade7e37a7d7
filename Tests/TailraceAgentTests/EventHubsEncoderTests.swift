import AMQP
import EventHubs
import Logging
import NIOCore
import Synchronization
import TailraceDelivery
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceAgent

/// Records go into the spool, out of it, and into a message: what a consumer decodes is what was put in.
@Suite struct EventHubsEncoderTests {
    private let directory = TemporaryDirectory("encoder")

    private final class Account: DeliveryAccount {
        let notes = Mutex<[[UInt64]]>([])
        func input(named name: String) -> Int? { name == "app" ? 3 : nil }
        func note(first: UInt64, count: Int, input: Int) {
            notes.withLock { $0.append([first, UInt64(count), UInt64(input)]) }
        }
    }

    /// Calls `body` with a frame that holds `bodies`.
    private func withFrame(
        _ bodies: [[UInt8]], attributes: [Int: [UInt8]] = [:], source: String = "/var/log/a.log",
        _ body: (SpoolFrame) throws -> Void
    ) throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let spool = try Spool.open(SpoolConfiguration(directory: directory("spool")), logger: logger)
        let batch = RecordBatch(capacity: bodies.reduce(4096) { $0 + $1.count } + attributes.count * 64)
        batch.context = RecordContext(host: "h", source: source, input: "app").encoded
        batch.baseOffset = 1000
        batch.time = 1_700_000_000_123
        for (index, body) in bodies.enumerated() {
            let start = try #require(body.withUnsafeBytes { batch.copyIn($0) })
            batch.append(RecordEntry(start: start, length: UInt32(body.count)))
            if let extra = attributes[index] {
                let place = try #require(extra.withUnsafeBytes { batch.copyIn($0) })
                batch.attributes.append(
                    AttributeEntry(record: UInt32(index), start: place, length: UInt32(extra.count)))
            }
        }
        try spool.append(batch)
        spool.flush()
        let reader = try spool.reader(from: 0)
        let frame = try #require(try reader.next())
        try body(frame)
        spool.close()
    }

    private func events(_ batch: PublishableBatch) throws -> [AMQPMessage] {
        guard case .data(let sections) = try AMQPMessage(decoding: batch.payload).body else { return [] }
        return try sections.map { try AMQPMessage(decoding: $0) }
    }

    private func body(_ message: AMQPMessage) -> [UInt8]? {
        guard case .data(let sections) = message.body, sections.count == 1 else { return nil }
        return Array(sections[0].readableBytesView)
    }

    @Test func bodiesArriveUnchangedWithTheirProperties() throws {
        let bodies: [[UInt8]] = [
            Array("plain".utf8), [], [0], Array("cr\r".utf8), [0xFF, 0xFE, 0xC0], Array(repeating: 0x41, count: 5000),
        ]
        let account = Account()
        try withFrame(bodies) { frame in
            var encoder = EventHubsEncoder(maximumSize: 1 << 20, storage: EncoderStorage(), account: account)
            let header = encoder.prepare(RecordContext(host: "h", source: "/var/log/a.log", input: "app"), key: "h")
            encoder.begin(header)
            let count = encoder.append(RecordRun(frame, 0..<bodies.count), header)
            #expect(count == bodies.count)
            let size = encoder.size
            let batch = encoder.seal()
            #expect(batch.payload.readableBytes == size)
            let events = try events(batch)
            let received = events.map(body)
            #expect(received == bodies)
            for (index, event) in events.enumerated() {
                #expect(event.messageAnnotations[symbol: "x-opt-partition-key"] == .string("h"))
                #expect(event.applicationProperties[string: "host"] == .string("h"))
                #expect(event.applicationProperties[string: "source"] == .string("/var/log/a.log"))
                #expect(event.applicationProperties[string: "input"] == .string("app"))
                #expect(event.applicationProperties[string: "timestamp"] == .timestamp(1_700_000_000_123))
                let offset = 1000 + Int64(frame.entry(index).start)
                #expect(event.applicationProperties[string: "offset"] == .long(offset))
            }
        }
        #expect(account.notes.withLock { $0 } == [[0, 6, 3]])
    }

    @Test func aCutRecordTellsItsOriginalLength() throws {
        var attributes: [UInt8] = []
        RecordAttributes.append(RecordAttributes.truncatedKey, 2 << 20, to: &attributes)
        try withFrame([[1], [2, 2]], attributes: [1: attributes]) { frame in
            var encoder = EventHubsEncoder(maximumSize: 1 << 20, storage: EncoderStorage(), account: nil)
            let header = encoder.prepare(RecordContext(host: "h", source: "s", input: "app"), key: "h")
            let count = encoder.append(RecordRun(frame, 0..<2), header)
            #expect(count == 2)
            let events = try events(encoder.seal())
            #expect(events[0].applicationProperties[string: "truncated"] == nil)
            #expect(events[1].applicationProperties[string: "truncated"] == .long(2 << 20))
        }
    }

    @Test(arguments: [300, 1000, 65_536, 300_000])
    func aRecordTooLargeForAMessageIsCutToFillIt(maximum: Int) throws {
        let line = [UInt8](repeating: 0x61, count: 400_000)
        let account = Account()
        try withFrame([[1], line]) { frame in
            var encoder = EventHubsEncoder(maximumSize: maximum, storage: EncoderStorage(), account: account)
            let header = encoder.prepare(RecordContext(host: "h", source: "s", input: "app"), key: "h")
            let count = encoder.append(RecordRun(frame, 0..<2), header)
            #expect(count == 1)
            _ = encoder.seal()
            let record = RecordRun(frame, 1..<2)[1]
            let cut = encoder.appendCut(record, header)
            let kept = try #require(cut)
            #expect(encoder.size <= maximum)
            #expect(encoder.size >= maximum - 16)
            let event = try #require(try events(encoder.seal()).first)
            #expect(body(event)?.count == kept)
            #expect(event.applicationProperties[string: "truncated"] == .long(400_000))
        }
        #expect(account.notes.withLock { $0 } == [[0, 1, 3], [1, 1, 3]])
    }

    @Test func whatDoesNotFitEvenEmptyIsLeft() throws {
        try withFrame([[1, 2, 3]]) { frame in
            var encoder = EventHubsEncoder(maximumSize: 40, storage: EncoderStorage(), account: nil)
            let header = encoder.prepare(RecordContext(host: "h", source: "s", input: "app"), key: "h")
            let count = encoder.append(RecordRun(frame, 0..<1), header)
            let kept = encoder.appendCut(RecordRun(frame, 0..<1)[0], header)
            #expect(count == 0)
            #expect(kept == nil)
        }
    }

    /// It leaves the spool too, as a dead letter: the input's balance must hear of it.
    @Test func theAccountHearsOfWhatNeverFitsOrComesLater() throws {
        let account = Account()
        try withFrame([[1], [2], [3]]) { frame in
            var small = EventHubsEncoder(maximumSize: 40, storage: EncoderStorage(), account: account)
            let context = RecordContext(host: "h", source: "s", input: "app")
            #expect(small.appendCut(RecordRun(frame, 0..<1)[0], small.prepare(context, key: "h")) == nil)
            small.pass(RecordRun(frame, 1..<3), small.prepare(context, key: "h"))
            #expect(account.notes.withLock { $0 } == [[0, 1, 3], [1, 2, 3]])
            // What is replayed was counted when it came.
            var again = context
            again.onlyOutput = "hub"
            let header = small.prepare(again, key: "h")
            small.pass(RecordRun(frame, 1..<3), header)
            #expect(small.appendCut(RecordRun(frame, 0..<1)[0], header) == nil)
        }
        #expect(account.notes.withLock { $0 }.count == 2)
    }

    @Test func aKeyTooLongForTheServiceIsNotAnnotated() throws {
        try withFrame([[1]]) { frame in
            var encoder = EventHubsEncoder(maximumSize: 1 << 20, storage: EncoderStorage(), account: nil)
            let key = "/" + String(repeating: "x", count: 128)
            let header = encoder.prepare(RecordContext(host: "h", source: key, input: "app"), key: key)
            let count = encoder.append(RecordRun(frame, 0..<1), header)
            #expect(count == 1)
            let event = try #require(try events(encoder.seal()).first)
            #expect(event.messageAnnotations[symbol: "x-opt-partition-key"] == nil)
            #expect(event.applicationProperties[string: "source"] == .string(key))
        }
    }

    @Test func storageIsUsedAgain() throws {
        try withFrame([[1], [2]]) { frame in
            var encoder = EventHubsEncoder(maximumSize: 1 << 20, storage: EncoderStorage(), account: nil)
            let header = encoder.prepare(RecordContext(host: "h", source: "s", input: "app"), key: "h")
            var previous: PublishableBatch?
            for round in 0..<10 {
                encoder.begin(header)
                let count = encoder.append(RecordRun(frame, (round % 2)..<(round % 2 + 1)), header)
                #expect(count == 1)
                if let previous { encoder.reuse(previous) }
                let batch = encoder.seal()
                let received = try events(batch).map(body)
                #expect(received == [[UInt8(round % 2 + 1)]])
                previous = batch
            }
        }
    }
}
