import AMQP
import EventHubs
import NIOCore
import TailraceSpool
import TestSupport
import Testing

@testable import LocalHub

@Suite struct ProducerTableTests {
    /// Whatever attaches and messages come: the changes, replayed, make the same table, and what was stored is gapless.
    @Test func theStoredChangesMakeTheSameTable() {
        for var random in [SeededGenerator(seed: 7), .fresh("producer table")] {
            var table = ProducerTable(limit: 4)
            var positions: [SourceKey: [UInt8]] = [:]
            var stored: [Int64: Int32] = [:]
            func keep(_ position: SourcePosition) {
                positions[position.source] = position.value.isEmpty ? nil : position.value
            }
            for now in 0..<2000 {
                let id = Int64.random(in: 1...6, using: &random)
                if Int.random(in: 0..<4, using: &random) == 0 {
                    let request = ProducerTable.Request(
                        producerID: id, epoch: Int16.random(in: 0...5, using: &random), last: nil)
                    if case .success(let grant) = table.attach(
                        request, now: Int64(now), newID: { 1 }, isAttached: { _ in false })
                    {
                        for position in grant.forgotten { keep(position) }
                        if let change = grant.change { keep(change) }
                        if grant.last == PublishingNumber.none { stored[id] = PublishingNumber.none }
                        #expect(grant.last == stored[id])
                    }
                } else {
                    let epoch = Int16.random(in: 0...5, using: &random)
                    let first = Int32.random(in: 0...10, using: &random) + max(0, (stored[id] ?? 0) - 5)
                    let numbers = PublishedNumbers(
                        producerID: id, epoch: epoch, first: first,
                        last: first + Int32.random(in: 0...3, using: &random))
                    switch table.publish(numbers, producerID: id, epoch: epoch, now: Int64(now)) {
                    case .store(let position):
                        keep(position)
                        #expect(stored[id].map { PublishingNumber.next($0) } == numbers.first)
                        stored[id] = numbers.last
                    case .duplicate: #expect(numbers.last <= stored[id] ?? -1)
                    case .refused: break
                    }
                }
                #expect(table.producers.count <= 4)
                let again = ProducerTable(limit: 4, positions: positions)
                if again.producers != table.producers {
                    Issue.record("\(again.producers) is not \(table.producers)")
                    return
                }
            }
        }
    }

    @Test func positionsOfAnotherKindAreLeftAlone() {
        let table = ProducerTable(
            limit: 4,
            positions: [
                SourceKey([]): [1], SourceKey(Array("P1234567".utf8)): [1], SourceKey(Array("P12345678".utf8)): [2, 3],
            ])
        #expect(table.producers.isEmpty)
    }

    // MARK: - Numbers in messages

    /// As the hub stores it.
    private func batch(_ payload: ByteBuffer, format: UInt32 = EventHubsName.batchFormat) throws -> RecordBatch {
        let batch = RecordBatch(capacity: max(1, payload.readableBytes))
        _ = try EventMessage.store(payload, messageFormat: format, in: batch)
        return batch
    }

    @Test func numbersAreReadWhateverTheEventsLookLike() throws {
        for var random in [SeededGenerator(seed: 11), .fresh("published numbers")] {
            for _ in 0..<300 {
                var first = Int32.random(in: 0...300, using: &random)
                if Bool.random(using: &random) { first = .max - 2 }
                let id = Int64.random(in: -200...200, using: &random)
                let epoch = Int16.random(in: 0...2, using: &random)
                let count = Int.random(in: 1...6, using: &random)
                var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
                for index in 0..<count {
                    var event = EventData("e", properties: AMQPMap([.init(.string("n"), .int(Int32(index)))]))
                    if Bool.random(using: &random) {
                        event.annotations[symbol: "other"] = .list([.null, .string("x")])
                    }
                    var own = NumberedSender.annotations(
                        PublishingNumber.advanced(first, by: index), id: id, epoch: epoch)
                    if Bool.random(using: &random) { own.entries.reverse() }
                    event.annotations.entries += own.entries
                    if Bool.random(using: &random) { event.annotations[symbol: "last"] = .boolean(true) }
                    #expect(try batch.tryAdd(event))
                }
                let numbers = try PublishedNumbers(self.batch(batch.payload))
                #expect(
                    numbers.first == first && numbers.producerID == id && numbers.epoch == epoch
                        && numbers.last == PublishingNumber.advanced(first, by: count - 1))
            }
        }
    }

    @Test func bytesOfAnyKindAreReadOrRefused() throws {
        for var random in [SeededGenerator(seed: 3), .fresh("bytes of numbers")] {
            let good = try NumberedSender.batch([1, 2, 3], id: 77, epoch: 1)
            for _ in 0..<3000 {
                var bytes = good
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes.setInteger(
                        UInt8.random(in: 0 ... .max, using: &random),
                        at: Int.random(in: 0..<bytes.readableBytes, using: &random))
                }
                guard let batch = try? batch(bytes), batch.recordCount > 0 else { continue }
                if let numbers = try? PublishedNumbers(batch) {
                    #expect(
                        PublishingNumber.distance(from: numbers.first, to: numbers.last) == batch.recordCount - 1)
                }
            }
        }
    }
}
