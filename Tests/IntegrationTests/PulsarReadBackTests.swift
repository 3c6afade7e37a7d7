import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

/// What our producer sends through a broker that is not ours, read back by the official client.
@Suite struct PulsarReadBackTests {
    @Test(arguments: PulsarCompression.allCases)
    func whatWeSendIsReadBackByteForByte(_ compression: PulsarCompression) async throws {
        let broker = try await PulsarLite(try Python())
        let specimens = PulsarMessage.specimens
        for batching in [false, true] {
            let topic = batching ? "batched" : "single"
            var options = PulsarProducerOptions.patient(batching: batching, compression)
            options.name = "tailrace-\(topic)"
            let before = WallClock.milliseconds
            let ids = try await broker.send(specimens, to: topic, options)
            let after = WallClock.milliseconds
            let received = try await broker.messages(of: topic)
            #expect(received.count == specimens.count)
            for ((specimen, id), message) in zip(zip(specimens, ids), received) {
                let isSame = message.payload == Array(specimen.payload.readableBytesView)
                #expect(isSame, "\(topic), \(id): \(message.payload.count) bytes came of \(specimen.size)")
                #expect(message.isNull == specimen.isNull)
                #expect(message.key == specimen.partitionKey ?? "")
                #expect(message.orderingKey == specimen.orderingKey ?? "")
                #expect(message.properties == Dictionary(uniqueKeysWithValues: specimen.properties.map { ($0, $1) }))
                #expect(message.eventTime == Int(specimen.eventTime ?? 0))
                #expect((before...after).contains(UInt64(message.publishTime)))
                #expect(message.producer == "tailrace-\(topic)")
                #expect(message.entry == Int(id.entryID) && message.batchIndex == id.batchIndex)
                #expect(message.partition == id.partition)
            }
        }
    }

    @Test(arguments: [PulsarCompression.none, .zstd])
    func aPayloadInChunksIsReadBackWhole(_ compression: PulsarCompression) async throws {
        let broker = try await PulsarLite(try Python())
        // Above the 5 MiB that a broker takes at once, compressed or not.
        var random = SeededGenerator(seed: 21)
        var payload = ByteBuffer()
        while payload.readableBytes < 6 << 20 { payload.writeInteger(random.next()) }
        var options = PulsarProducerOptions.patient(batching: false, compression)
        options.isChunkingEnabled = true
        let messages = [PulsarMessage("before"), PulsarMessage(payload), PulsarMessage("behind")]
        let ids = try await broker.send(messages, to: "chunks", options)
        #expect(ids[0].firstChunk == nil && ids[2].firstChunk == nil)
        #expect(ids[1].firstChunk?.entryID == 1 && ids[1].entryID > 1)
        let received = try await broker.messages(of: "chunks")
        #expect(received.count == 3)
        for (message, read) in zip(messages, received) {
            let isSame = read.payload == Array(message.payload.readableBytesView)
            #expect(isSame, "\(read.payload.count) bytes came of \(message.size)")
        }
    }

    @Test(arguments: PulsarHashing.allCases, [false, true])
    func keysKeepTheirPartitionAndTheirOrder(_ hashing: PulsarHashing, batching: Bool) async throws {
        let broker = try await PulsarLite(try Python(), partitions: 4)
        var options = PulsarProducerOptions.patient(batching: batching)
        options.hashing = hashing
        // Messages without a key change the partition by their number, however fast they come.
        options.batchingMaximumMessages = 20
        let messages = (0..<1000).map { index in
            var message = PulsarMessage("\(index)")
            // Every sixth has none.
            if index % 6 != 0 { message.partitionKey = "key-\(index % 23)" }
            return message
        }
        let ids = try await broker.send(messages, to: "keys", options)
        let received = try await broker.messages(of: "keys", count: messages.count)
        let numbers = received.compactMap { Int(String(decoding: $0.payload, as: UTF8.self)) }
        #expect(numbers.sorted() == Array(0..<1000))
        for (number, message) in zip(numbers, received) {
            #expect(message.partition == ids[number].partition)
            if !message.key.isEmpty { #expect(message.partition == hashing.partition(of: message.key, count: 4)) }
        }
        // The messages of a partition lie in it as they were sent, so those of a key do too.
        for partition in 0..<4 {
            let own = zip(numbers, received).filter { $1.partition == partition }.map(\.0)
            #expect(!own.isEmpty && own == own.sorted(), "partition \(partition)")
        }
        #expect(Set(received.filter(\.key.isEmpty).map(\.partition)).count > 1)
    }

    @Test func theOfficialClientPutsKeysWhereWeDo() async throws {
        let broker = try await PulsarLite(try Python(), partitions: 7)
        let keys = (0..<50).map { "key-\($0)" } + ["abc", "host-01.example.com", "é", "日本語", "x y/z"]
        try await broker.produce(keys.map { PulsarLite.Sent(payload: Array($0.utf8), key: $0) }, to: "keys")
        let ids = try await broker.send(
            keys.map { key in
                var message = PulsarMessage(key)
                message.partitionKey = key
                return message
            }, to: "keys", PulsarProducerOptions.patient(batching: false))
        let received = try await broker.messages(of: "keys", count: 2 * keys.count)
        #expect(received.count == 2 * keys.count)
        for (key, id) in zip(keys, ids) {
            let places = received.filter { $0.key == key }.map(\.partition)
            #expect(places == [id.partition, id.partition], "\(key)")
        }
    }

    @Test func batchesOfOneKeyEachKeepEveryKeysOrder() async throws {
        let broker = try await PulsarLite(try Python())
        var options = PulsarProducerOptions.patient(batching: true)
        options.batchingType = .keyBased
        options.batchingMaximumMessages = 50
        let messages = (0..<500).map { index in
            var message = PulsarMessage("\(index)")
            message.partitionKey = "key-\(index % 7)"
            return message
        }
        _ = try await broker.send(messages, to: "keyed", options)
        let received = try await broker.messages(of: "keyed")
        #expect(received.count == messages.count)
        for key in 0..<7 {
            let own = received.filter { $0.key == "key-\(key)" }
            #expect(
                own.map { String(decoding: $0.payload, as: UTF8.self) }
                    == (0..<500).filter { $0 % 7 == key }.map { "\($0)" })
        }
        // A batch has messages of one key alone.
        for (_, batch) in Dictionary(grouping: received, by: \.entry) { #expect(Set(batch.map(\.key)).count == 1) }
    }

    @Test(arguments: [(false, 3000), (true, 20_000)])
    func nothingIsLostWhenTheBrokerIsKilledAgainAndAgain(batching: Bool, count: Int) async throws {
        let broker = try await PulsarLite(try Python())
        let client = try PulsarClient(serviceURL: broker.serviceURL)
        var options = PulsarProducerOptions.patient(batching: batching)
        options.batchingMaximumMessages = 100
        let producer = try await client.makeProducer(topic: "killed", options: options)
        let receipts = PulsarReceipts()
        async let sending: Void = {
            for index in 0..<count {
                try await producer.send(PulsarMessage("\(index)"), completion: receipts.completion(of: index))
            }
            try await producer.flush()
        }()
        for kill in 1...4 {
            // Some have their receipts, others are under way.
            while receipts.count < count * kill / 6 { try await Task.sleep(for: .milliseconds(1)) }
            broker.kill()
            try await broker.restart()
        }
        try await sending
        _ = try receipts.ids(count)
        try await producer.close()
        await client.close()
        let received = try await broker.messages(of: "killed")
        // This broker does not recognise repetitions: what it had stored without saying so comes twice.
        var seen: Set<Int> = []
        let first = received.compactMap { Int(String(decoding: $0.payload, as: UTF8.self)) }
            .filter { seen.insert($0).inserted }
        let isWholeAndInOrder = first == Array(0..<count)
        #expect(isWholeAndInOrder, "\(first.count) of \(count) came, \(received.count - first.count) twice")
    }
}
