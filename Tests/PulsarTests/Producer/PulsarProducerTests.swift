import NIOCore
import PulsarBroker
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

/// The public producer against the test broker.
@Suite struct PulsarProducerTests {
    private var batching: PulsarProducerOptions {
        var options = PulsarProducerOptions()
        options.isBatchingEnabled = true
        options.batchingMaximumDelay = .milliseconds(2)
        return options
    }

    // MARK: Sending

    @Test func aMessageIsStoredAndItsPlaceTold() async throws {
        try await WithBroker.run { world, client in
            let producer = try await client.makeProducer(topic: "t")
            #expect(producer.topic == WithBroker.topic)
            #expect(!producer.producerName.isEmpty)
            #expect(producer.partitionCount == 0)
            #expect(producer.lastSequenceID == -1)
            #expect(producer.isConnected)
            let first = try await producer.send(PulsarMessage("one"))
            let second = try await producer.send(PulsarMessage("two"))
            #expect(first.entryID + 1 == second.entryID)
            #expect(first.partition == -1)
            #expect(first.batchIndex == -1)
            #expect(!first.isDuplicate)
            #expect(producer.lastSequenceID == 1)
            #expect(try await world.texts() == ["one", "two"])
            try await producer.close()
            #expect(!producer.isConnected)
            #expect(producer.topic == WithBroker.topic)
            #expect(producer.lastSequenceID == 1)
        }
    }

    @Test func everyFieldArrives() async throws {
        for options in [PulsarProducerOptions(), batching] {
            try await WithBroker.run { world, client in
                let producer = try await client.makeProducer(topic: "t", options: options)
                var message = PulsarMessage([0, 255, 1])
                message.properties = [("z", "1"), ("a", "2")]
                message.partitionKey = "key"
                message.orderingKey = "order"
                message.eventTime = 0
                message.sequenceID = 0
                try await producer.send(message)
                try await producer.send(PulsarMessage(content: .null))
                let stored = try await world.broker.messages(of: WithBroker.topic)
                #expect(stored.map(\.sequenceID) == [0, 1])
                #expect(stored[0].payload == ByteBuffer(bytes: [0, 255, 1]))
                #expect(stored[0].properties.map(\.key) == ["z", "a"])
                #expect(stored[0].key == "key")
                #expect(stored[0].orderingKey == Array("order".utf8))
                #expect(stored[0].eventTime == 0)
                #expect(!stored[0].hasNullValue)
                #expect(stored[1].hasNullValue)
                try await producer.close()
            }
        }
    }

    @Test func messagesOfABatchShareAnEntryAndHaveTheirOwnPlaces() async throws {
        var options = batching
        options.batchingMaximumDelay = .seconds(3600)
        options.batchingMaximumMessages = 3
        try await WithBroker.run { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            let ids = try await withThrowingTaskGroup { group in
                for index in 0..<3 { group.addTask { try await producer.send(PulsarMessage("\(index)")) } }
                var ids: [PulsarMessageID] = []
                for try await id in group { ids.append(id) }
                return ids
            }
            #expect(Set(ids.map(\.entryID)).count == 1)
            #expect(ids.map(\.batchIndex).sorted() == [0, 1, 2])
            #expect(ids.allSatisfy { $0.batchSize == 3 })
            #expect(try await world.texts().sorted() == ["0", "1", "2"])
            try await producer.close()
        }
    }

    @Test func aBatchGoesAfterItsDelay() async throws {
        try await WithBroker.run { world, client in
            let producer = try await client.makeProducer(topic: "t", options: batching)
            try await producer.send(PulsarMessage("alone"))
            let stored = try await world.broker.messages(of: WithBroker.topic)
            #expect(stored.map(\.batchIndex) == [0])
            try await producer.close()
        }
    }

    @Test(arguments: PulsarCompression.allCases)
    func everyCompressionIsReadBack(_ compression: PulsarCompression) async throws {
        for var options in [PulsarProducerOptions(), batching] {
            options.compression = compression
            try await WithBroker.run { [options] world, client in
                let producer = try await client.makeProducer(topic: "t", options: options)
                let text = String(repeating: "abc", count: 1000)
                for _ in 0..<10 { try await producer.send(PulsarMessage(text), completion: nil) }
                try await producer.send(PulsarMessage(""), completion: nil)
                try await producer.close()
                #expect(try await world.texts() == Array(repeating: text, count: 10) + [""])
            }
        }
    }

    @Test func chunksMakeOneMessage() async throws {
        var options = PulsarProducerOptions()
        options.isChunkingEnabled = true
        try await WithBroker.run {
            $0.maximumMessageSize = 1000
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            let text = String(repeating: "0123456789", count: 300)
            let id = try await producer.send(PulsarMessage(text))
            let first = try #require(id.firstChunk)
            #expect(id.entryID == first.entryID + 3)
            #expect(id.description == "(\(first.ledgerID),\(first.entryID),-1,-1);(\(id.ledgerID),\(id.entryID),-1,-1)")
            #expect(try await producer.send(PulsarMessage("small")).firstChunk == nil)
            #expect(producer.lastSequenceID == 1)
            #expect(try await world.texts().dropLast().joined() == text)
            try await producer.close()
        }
    }

    @Test func aDuplicateIsASuccessWithoutAPlace() async throws {
        try await WithBroker.run { world, client in
            var options = PulsarProducerOptions()
            options.name = "p"
            let producer = try await client.makeProducer(topic: "t", options: options)
            var message = PulsarMessage("x")
            message.sequenceID = 7
            #expect(try await producer.send(message).isDuplicate == false)
            let again = try await producer.send(message)
            #expect(again.isDuplicate)
            #expect(again.description == "(-1,-1,-1,-1)")
            #expect(try await world.texts() == ["x"])
            try await producer.close()
        }
    }

    @Test func aMessageThatIsTooLargeIsRefusedBeforeItIsSent() async throws {
        for options in [PulsarProducerOptions(), batching] {
            try await WithBroker.run {
                $0.maximumMessageSize = 1000
            } _: { world, client in
                let producer = try await client.makeProducer(topic: "t", options: options)
                let error = await #expect(throws: PulsarError.self) {
                    try await producer.send(PulsarMessage([UInt8](repeating: 0, count: 2000)))
                }
                #expect(error?.code == .messageTooBig)
                try await producer.send(PulsarMessage("small"))
                #expect(try await world.texts() == ["small"])
                try await producer.close()
            }
        }
    }

    // MARK: Ids

    @Test func aProducerGoesOnWhereItsNameLeftOff() async throws {
        var options = batching
        options.name = "stable"
        try await WithBroker.run { [options] world, client in
            for round in 0..<3 as Range<Int64> {
                let producer = try await client.makeProducer(topic: "t", options: options)
                #expect(producer.producerName == "stable")
                #expect(producer.lastSequenceID == round * 5 - 1)
                for _ in 0..<5 { try await producer.send(PulsarMessage("x"), completion: nil) }
                try await producer.close()
                #expect(producer.lastSequenceID == round * 5 + 4)
            }
            #expect(try await world.broker.messages(of: WithBroker.topic).map(\.sequenceID) == Array(0..<15))
        }
    }

    /// There is no id above it, which is the message's trouble and nobody else's.
    @Test func behindTheLargestIDMessagesAreRefused() async throws {
        var options = PulsarProducerOptions()
        options.name = "stable"
        try await WithBroker.run { [options] world, client in
            let first = try await client.makeProducer(topic: "t", options: options)
            var message = PulsarMessage("last")
            message.sequenceID = UInt64(Int64.max)
            try await first.send(message)
            try await first.close()

            let second = try await client.makeProducer(topic: "t", options: options)
            #expect(second.lastSequenceID == .max)
            let error = await #expect(throws: PulsarError.self) { try await second.send(PulsarMessage("more")) }
            #expect(error?.code == .invalidMessage)
            try await second.close()
        }
    }

    /// A broker may say anything.
    @Test func aLastIDBelowNoneIsNone() {
        let opened = OpenedProducer(name: "p", lastSequenceID: .min, maximumMessageSize: 1 << 20)
        #expect(opened.lastSequenceID == -1)
    }

    @Test func anInitialSequenceIDCountsMoreThanTheBrokersWord() async throws {
        try await WithBroker.run { world, client in
            var options = PulsarProducerOptions()
            options.name = "p"
            options.initialSequenceID = 0
            let producer = try await client.makeProducer(topic: "t", options: options)
            #expect(producer.lastSequenceID == 0)
            try await producer.send(PulsarMessage("x"))
            try await producer.close()
            options.initialSequenceID = 100
            let other = try await client.makeProducer(topic: "t", options: options)
            #expect(other.lastSequenceID == 100)
            try await other.send(PulsarMessage("y"))
            #expect(try await world.broker.messages(of: WithBroker.topic).map(\.sequenceID) == [1, 101])
            try await other.close()
        }
    }

    // MARK: Room

    @Test func withoutRoomAMessageIsRefused() async throws {
        var options = PulsarProducerOptions()
        options.maximumPendingMessages = 2
        try await WithBroker.run {
            $0.onSend = { $0.number == 0 ? .hold : nil }
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            #expect(try producer.trySend(PulsarMessage("1")))
            #expect(try producer.trySend(PulsarMessage("2")))
            #expect(try producer.trySend(PulsarMessage("3")) == false)
            let error = await #expect(throws: PulsarError.self) { try await producer.send(PulsarMessage("3")) }
            #expect(error?.code == .queueFull)
            #expect(producer.pendingMessageCount == 2)
            try await world.releaseWhenHeld()
            try await producer.flush()
            try await producer.send(PulsarMessage("4"))
            #expect(try await world.texts() == ["1", "2", "4"])
            try await producer.close()
        }
    }

    @Test func bytesHaveALimitToo() async throws {
        var options = PulsarProducerOptions()
        options.maximumPendingBytes = 1000
        try await WithBroker.run {
            $0.onSend = { $0.number == 0 ? .hold : nil }
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            #expect(try producer.trySend(PulsarMessage([UInt8](repeating: 0, count: 2000))))
            let error = await #expect(throws: PulsarError.self) { try await producer.send(PulsarMessage("3")) }
            #expect(error?.code == .memoryFull)
            try await world.releaseWhenHeld()
            try await producer.close()
        }
    }

    @Test func blockingWaitsForRoom() async throws {
        var options = PulsarProducerOptions()
        options.maximumPendingMessages = 1
        options.blocksIfQueueFull = true
        try await WithBroker.run { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            for index in 0..<50 { try await producer.send(PulsarMessage("\(index)"), completion: nil) }
            try await producer.close()
            #expect(try await world.texts() == (0..<50).map { "\($0)" })
        }
    }

    @Test func aWaitForRoomEndsWithTheProducer() async throws {
        var options = PulsarProducerOptions()
        options.maximumPendingMessages = 1
        options.blocksIfQueueFull = true
        try await WithBroker.run {
            $0.onSend = { _ in .hold }
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            try await producer.send(PulsarMessage("1"), completion: nil)
            let ends = (0..<2).map { _ in Task { try await producer.send(PulsarMessage("2"), completion: nil) } }
            let partition = producer.core.partitions[0]
            while partition.waiting < 2 { await Task.yield() }
            ends[0].cancel()
            await #expect(throws: CancellationError.self) { try await ends[0].value }
            try await producer.close(flush: false)
            let error = await #expect(throws: PulsarError.self) { try await ends[1].value }
            #expect(error?.code == .interrupted)
        }
    }

    @Test func zeroPendingMessagesMeansNoLimit() async throws {
        var options = batching
        options.maximumPendingMessages = 0
        options.maximumPendingMessagesAcrossPartitions = 0
        try await WithBroker.run { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            for index in 0..<5000 { #expect(try producer.trySend(PulsarMessage("\(index)"))) }
            try await producer.close()
            #expect(try await world.texts().count == 5000)
        }
    }

    @Test func bytesOnTheirWayHaveALimitBelowThatOfBytesThatWait() {
        var options = PulsarProducerOptions()
        #expect(options.machine(PulsarClientOptions()).maximumBytesInFlight < options.maximumPendingBytes)
        options.maximumBytesInFlight = 7
        #expect(options.machine(PulsarClientOptions()).maximumBytesInFlight == 7)
    }

    @Test func partitionsShareTheLimit() {
        var options = PulsarProducerOptions()
        #expect(options.pendingLimit(partitions: 1) == 1000)
        #expect(options.pendingLimit(partitions: 100) == 500)
        options.maximumPendingMessages = 0
        #expect(options.pendingLimit(partitions: 10) == 5000)
        options.maximumPendingMessagesAcrossPartitions = 0
        #expect(options.pendingLimit(partitions: 10) == .max)
        options.maximumPendingMessagesAcrossPartitions = 3
        #expect(options.pendingLimit(partitions: 10) == 1)
    }

    // MARK: Results

    @Test func completionsAreCalledOnceInOrderAndMayTakeTheirTime() async throws {
        try await WithBroker.run { world, client in
            let producer = try await client.makeProducer(topic: "t", options: batching)
            let order = Mutex<[Int]>([])
            for index in 0..<500 {
                try await producer.send(PulsarMessage("\(index)")) { result in
                    if case .failure(let error) = result { Issue.record(error) }
                    order.withLock { $0.append(index) }
                }
            }
            try await producer.flush()
            #expect(order.withLock { $0 } == Array(0..<500))
            try await producer.close()
        }
    }

    /// The reference tells only of what ended last.
    @Test func flushTellsOfAnyFailure() async throws {
        var options = batching
        options.batchingMaximumDelay = .seconds(3600)
        options.routing = .custom { message, _ in message.size }
        try await WithBroker.run {
            $0.partitions = [WithBroker.topic: 3]
            $0.onSend = { send in
                guard send.topic.hasSuffix("-1"), send.command.sequenceID == 0 else { return nil }
                return .refuse(.notAllowedError, "not this one")
            }
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            for text in ["", "1", "22"] { try await producer.send(PulsarMessage(text), completion: nil) }
            let error = await #expect(throws: PulsarError.self) { try await producer.flush() }
            #expect(error?.code == .notAllowed)
            #expect(error?.message.contains("not this one") == true)
            for text in ["", "1", "22"] { try await producer.send(PulsarMessage(text), completion: nil) }
            // What failed before is told.
            try await producer.flush()
            #expect(try await world.texts("\(WithBroker.topic)-partition-0") == ["", ""])
            #expect(try await world.texts("\(WithBroker.topic)-partition-1") == ["1"])
            try await producer.close()
        }
    }

    @Test func flushWithADeadlineTellsWhatIsLeft() async throws {
        try await WithBroker.run {
            $0.onSend = { $0.number == 0 ? .hold : nil }
        } _: { world, client in
            let producer = try await client.makeProducer(topic: "t")
            try await producer.send(PulsarMessage("x"), completion: nil)
            let error = await #expect(throws: PulsarError.self) { try await producer.flush(timeout: .zero) }
            #expect(error?.code == .timeout)
            try await world.releaseWhenHeld()
            try await producer.close()
            #expect(try await world.texts() == ["x"])
        }
    }

    @Test func closingSendsWhatIsThere() async throws {
        var options = batching
        options.batchingMaximumDelay = .seconds(3600)
        try await WithBroker.run { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            for index in 0..<10 { try await producer.send(PulsarMessage("\(index)"), completion: nil) }
            try await producer.close()
            #expect(try await world.texts().count == 10)
            try await producer.close()
            let error = await #expect(throws: PulsarError.self) { try await producer.send(PulsarMessage("x")) }
            #expect(error?.code == .alreadyClosed)
            await #expect(throws: PulsarError.self) { try await producer.flush() }
            #expect(throws: PulsarError.self) { try producer.trySend(PulsarMessage("x")) }
            #expect(try await world.broker.statistics.producers == 0)
        }
    }

    @Test func closingWithoutFlushFailsWhatHasNoResult() async throws {
        var options = batching
        options.batchingMaximumDelay = .seconds(3600)
        try await WithBroker.run { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            let codes = Mutex<[PulsarError.Code]>([])
            for _ in 0..<3 {
                try await producer.send(PulsarMessage("x")) { result in
                    if case .failure(let error) = result { codes.withLock { $0.append(error.code) } }
                }
            }
            try await producer.close(flush: false)
            #expect(codes.withLock { $0 } == Array(repeating: .alreadyClosed, count: 3))
            #expect(try await world.texts() == [])
        }
    }

    @Test func closingTheClientClosesItsProducers() async throws {
        try await WithBroker.run { world, client in
            let producer = try await client.makeProducer(topic: "t")
            try await producer.send(PulsarMessage("x"))
            await client.close()
            let error = await #expect(throws: PulsarError.self) { try await producer.send(PulsarMessage("y")) }
            #expect(error?.code == .alreadyClosed)
            #expect(!producer.isConnected)
            #expect(try await world.texts() == ["x"])
        }
    }

    @Test func aProducerThatIsDroppedIsClosed() async throws {
        try await WithBroker.run { world, client in
            do {
                var options = PulsarProducerOptions()
                options.name = "only"
                _ = try await client.makeProducer(topic: "t", options: options)
            }
            var options = PulsarProducerOptions()
            options.name = "only"
            // The broker lets one of a name in at a time: this waits until the other is gone.
            let producer = try await client.makeProducer(topic: "t", options: options)
            try await producer.close()
        }
    }

    // MARK: Faults

    @Test func whatIsLostWithAConnectionIsSentAgainAndStoredOnce() async throws {
        var options = batching
        options.name = "p"
        options.sendTimeout = .zero
        options.batchingMaximumMessages = 7
        options.blocksIfQueueFull = true
        let faults = RandomFaults(every: 8, seed: 5)
        try await WithBroker.run {
            $0.onSend = { faults.fault($0) }
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            for index in 0..<2000 { try await producer.send(PulsarMessage("\(index)"), completion: nil) }
            try await producer.close()
            #expect(try await world.texts() == (0..<2000).map { "\($0)" })
            #expect(producer.lastSequenceID == 1999)
        }
    }

    @Test func withoutAnAnswerInTimeTheOutcomeIsUnknown() async throws {
        var options = PulsarProducerOptions()
        options.sendTimeout = .milliseconds(50)
        try await WithBroker.run {
            $0.onSend = { $0.number == 0 ? .storeSilently : nil }
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            let error = await #expect(throws: PulsarError.self) { try await producer.send(PulsarMessage("silent")) }
            #expect(error?.code == .timeout)
            #expect(error?.isOutcomeUnknown == true)
            #expect(try await world.texts() == ["silent"])
            try await producer.close()
        }
    }

    @Test func aBusyNameIsWaitedFor() async throws {
        var options = PulsarProducerOptions()
        options.name = "p"
        try await WithBroker.run {
            $0.disconnectNotice = .milliseconds(200)
        } _: { [options] world, client in
            let first = try await client.makeProducer(topic: "t", options: options)
            try await first.send(PulsarMessage("x"))
            // Its client is gone, and the broker has not noticed.
            let other = try PulsarClient(serviceURL: world.url, options: WithBroker.quick)
            let opening = Task { try await other.makeProducer(topic: "t", options: options) }
            try await world.broker.dropConnections()
            try await first.close(flush: false)
            let second = try await opening.value
            #expect(second.lastSequenceID == 0)
            try await second.close()
            await other.close()
        }
    }

    @Test func aBusyNameEndsTheOpeningAfterTheOperationTimeout() async throws {
        var options = PulsarProducerOptions()
        options.name = "p"
        var quick = WithBroker.quick
        quick.operationTimeout = .milliseconds(300)
        try await WithBroker.run { [options, quick] world, client in
            let first = try await client.makeProducer(topic: "t", options: options)
            let other = try PulsarClient(serviceURL: world.url, options: quick)
            let error = await #expect(throws: PulsarError.self) {
                try await other.makeProducer(topic: "t", options: options)
            }
            // Busy machines may not even hear that the name is.
            #expect(error?.code == .producerBusy || error?.code == .timeout)
            // Without limit, until it is told to stop.
            var patient = options
            patient.openingPatience = .unlimited
            let opening = Task { [patient] in try await other.makeProducer(topic: "t", options: patient) }
            opening.cancel()
            await #expect(throws: CancellationError.self) { _ = try await opening.value }
            await other.close()
            try await first.close()
        }
    }

    @Test func aTopicThatIsTerminatedEndsTheProducer() async throws {
        try await WithBroker.run { world, client in
            let producer = try await client.makeProducer(topic: "t")
            try await producer.send(PulsarMessage("x"))
            try await world.broker.terminate(WithBroker.topic)
            let error = await #expect(throws: PulsarError.self) { try await producer.send(PulsarMessage("y")) }
            #expect(error?.code == .topicTerminated)
            try await producer.close(flush: false)
        }
    }

    @Test func aTopicThatMovesIsFollowedWithWhatWaits() async throws {
        for isTold in [true, false] {
            var options = batching
            options.name = "p"
            options.sendTimeout = .zero
            options.blocksIfQueueFull = true
            try await WithBroker.run {
                $0.brokers = 2
            } _: { [options] world, client in
                let producer = try await client.makeProducer(topic: "t", options: options)
                for index in 0..<500 {
                    if index == 250 { try await world.broker.move(WithBroker.topic, to: 1, isTold: isTold) }
                    try await producer.send(PulsarMessage("\(index)"), completion: nil)
                }
                try await producer.close()
                #expect(try await world.texts() == (0..<500).map { "\($0)" })
            }
        }
    }

    @Test func aTopicThatMigratesIsFollowedToItsCluster() async throws {
        try await WithBroker.run { old, client in
            try await WithBroker.run { new, _ in
                var options = PulsarProducerOptions()
                options.name = "p"
                options.sendTimeout = .zero
                let producer = try await client.makeProducer(topic: "t", options: options)
                try await producer.send(PulsarMessage("old"))
                try await old.broker.migrate(WithBroker.topic, to: new.url)
                while try await new.broker.statistics.producers == 0 { await Task.yield() }
                try await producer.send(PulsarMessage("new"))
                #expect(try await old.texts() == ["old"])
                #expect(try await new.texts() == ["new"])
                try await producer.close()
            }
        }
    }

    @Test func aTopicThatIsFullIsWaitedForByThePatientOnly() async throws {
        let isFull = Mutex(true)
        try await WithBroker.run {
            $0.onRequest = { request in
                guard case .producer(let command) = request.command, isFull.withLock({ $0 }) else { return nil }
                let error = ErrorCommand(
                    requestID: command.requestID, error: .producerBlockedQuotaExceededError, message: "full")
                return .answer([.error(error)])
            }
        } _: { world, client in
            let error = await #expect(throws: PulsarError.self) { try await client.makeProducer(topic: "t") }
            #expect(error?.code == .quotaExceeded)
            var patient = PulsarProducerOptions()
            patient.openingPatience = .unlimited
            let opening = Task { [patient] in try await client.makeProducer(topic: "t", options: patient) }
            isFull.withLock { $0 = false }
            try await opening.value.close()
        }
    }

    /// The number of each of the protocol's errors, and that of the official client's result for it.
    @Test func everyAnswerOfABrokerHasItsCode() {
        let results: [UInt64: Int] = [
            0: 1, 1: 10, 2: 11, 3: 7, 4: 8, 5: 13, 6: 23, 7: 25, 8: 26, 9: 12, 10: 32, 11: 29, 12: 30, 13: 31, 14: 20,
            15: 33, 16: 19, 17: 21, 18: 35, 19: 13, 20: 1, 21: 1, 22: 40, 23: 1, 24: 1, 25: 43, 999: 1,
        ]
        for (error, result) in results {
            #expect(PulsarError.code(of: ServerError(rawValue: error)).resultNumber == result, "\(error)")
        }
    }

    // MARK: Access

    @Test func exclusiveAccessThrowsOutOrWaitsAsChosen() async throws {
        try await WithBroker.run { world, client in
            var options = PulsarProducerOptions()
            options.accessMode = .exclusive
            let first = try await client.makeProducer(topic: "t", options: options)
            let refused = await #expect(throws: PulsarError.self) {
                try await client.makeProducer(topic: "t", options: options)
            }
            #expect(refused?.code == .producerBusy || refused?.code == .producerFenced)
            options.accessMode = .waitForExclusive
            let waiting = Task { [options] in try await client.makeProducer(topic: "t", options: options) }
            try await first.send(PulsarMessage("first"))
            try await first.close()
            let second = try await waiting.value
            try await second.send(PulsarMessage("second"))
            try await second.close()
            options.accessMode = .exclusive
            let third = try await client.makeProducer(topic: "t", options: options)
            options.accessMode = .exclusiveWithFencing
            let fourth = try await client.makeProducer(topic: "t", options: options)
            try await fourth.send(PulsarMessage("fourth"))
            let fenced = await #expect(throws: PulsarError.self) { try await third.send(PulsarMessage("x")) }
            #expect(fenced?.code == .producerFenced)
            #expect(try await world.texts() == ["first", "second", "fourth"])
            try await fourth.close()
            try await third.close(flush: false)
        }
    }

    // MARK: Partitions

    @Test func keysStayInTheirPartitionInOrder() async throws {
        var options = batching
        options.hashing = .murmur3
        options.blocksIfQueueFull = true
        try await WithBroker.run {
            $0.partitions = [WithBroker.topic: 4]
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            #expect(producer.partitionCount == 4)
            #expect(producer.isConnected)
            for index in 0..<400 {
                var message = PulsarMessage("\(index)")
                message.partitionKey = "key-\(index % 10)"
                try await producer.send(message, completion: nil)
            }
            try await producer.close()
            var all = 0
            for partition in 0..<4 {
                let stored = try await world.broker.messages(of: "\(WithBroker.topic)-partition-\(partition)")
                all += stored.count
                #expect(stored.allSatisfy { PulsarHashing.murmur3.partition(of: $0.key ?? "", count: 4) == partition })
                let numbers = stored.compactMap { Int($0.text) }
                #expect(numbers == numbers.sorted())
                #expect(producer.lastSequenceID(partition: partition) == Int64(stored.count) - 1)
                #expect(stored.map(\.sequenceID) == Array(0..<UInt64(stored.count)))
            }
            #expect(all == 400)
            #expect(producer.lastSequenceID(partition: 4) == -1)
        }
    }

    @Test func withoutAKeyPartitionsTakeTurns() async throws {
        try await WithBroker.run {
            $0.partitions = [WithBroker.topic: 3]
        } _: { world, client in
            let producer = try await client.makeProducer(topic: "t")
            var partitions: [Int] = []
            for _ in 0..<9 { partitions.append(try await producer.send(PulsarMessage("x")).partition) }
            #expect(Set(partitions) == [0, 1, 2])
            for index in 3..<9 { #expect(partitions[index] == partitions[index - 3]) }
            var options = PulsarProducerOptions()
            options.routing = .singlePartition
            let single = try await client.makeProducer(topic: "t", options: options)
            partitions = []
            for _ in 0..<9 { partitions.append(try await single.send(PulsarMessage("x")).partition) }
            #expect(Set(partitions).count == 1)
            options.routing = .custom { message, count in message.size % count }
            let custom = try await client.makeProducer(topic: "t", options: options)
            #expect(try await custom.send(PulsarMessage("1234")).partition == 1)
            options.routing = .custom { _, count in count }
            let wrong = try await client.makeProducer(topic: "t", options: options)
            let error = await #expect(throws: PulsarError.self) { try await wrong.send(PulsarMessage("x")) }
            #expect(error?.code == .invalidMessage)
            for producer in [producer, single, custom, wrong] { try await producer.close() }
        }
    }

    @Test func lazyPartitionsOpenWithTheirFirstMessage() async throws {
        var options = PulsarProducerOptions()
        options.startsPartitionsLazily = true
        options.routing = .custom { message, _ in message.size }
        try await WithBroker.run {
            $0.partitions = [WithBroker.topic: 4]
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            #expect(try await world.broker.statistics.producers == 1)
            #expect(producer.isConnected)
            // Held back until the partition is open, and in order.
            for index in 0..<20 {
                var message = PulsarMessage("abc")
                message.properties = [("n", "\(index)")]
                #expect(try producer.trySend(message))
            }
            try await producer.flush()
            #expect(try await world.broker.statistics.producers == 2)
            let stored = try await world.broker.messages(of: "\(WithBroker.topic)-partition-3")
            #expect(stored.map { $0.properties[0].value } == (0..<20).map { "\($0)" })
            #expect(producer.lastSequenceID == 19)
            try await producer.close()
        }
    }

    @Test func partitionsThatAreAddedAreUsed() async throws {
        var options = PulsarProducerOptions()
        options.partitionUpdateInterval = .milliseconds(5)
        let count = Mutex(2)
        try await WithBroker.run {
            $0.partitions = [WithBroker.topic: 4]
            $0.onRequest = { request in
                guard case .partitionedMetadata(let question) = request.command else { return nil }
                let partitions = UInt32(count.withLock { $0 })
                return .answer([
                    .partitionedMetadataResponse(
                        PartitionedMetadataResponseCommand(
                            partitions: partitions, requestID: question.requestID, response: .success))
                ])
            }
        } _: { [options] world, client in
            let producer = try await client.makeProducer(topic: "t", options: options)
            #expect(producer.partitionCount == 2)
            count.withLock { $0 = 4 }
            while producer.partitionCount < 4 { try await producer.send(PulsarMessage("x")) }
            var partitions: Set<Int> = []
            for _ in 0..<8 { partitions.insert(try await producer.send(PulsarMessage("x")).partition) }
            #expect(partitions == [0, 1, 2, 3])
            try await producer.close()
        }
    }

    // MARK: Options

    @Test func propertiesAndNamesReachTheBroker() async throws {
        let commands = Mutex<[ProducerCommand]>([])
        try await WithBroker.run {
            $0.onRequest = { request in
                if case .producer(let command) = request.command { commands.withLock { $0.append(command) } }
                return nil
            }
        } _: { world, client in
            var options = PulsarProducerOptions()
            options.name = "mine"
            options.properties = ["b": "2", "a": "1"]
            let producer = try await client.makeProducer(topic: "t", options: options)
            try await producer.close()
            options.name = ""
            let other = try await client.makeProducer(topic: "t", options: options)
            #expect(!other.producerName.isEmpty)
            try await other.close()
        }
        let all = commands.withLock { $0 }
        #expect(all[0].producerName == "mine")
        #expect(all[0].userProvidedProducerName == true)
        #expect(all[0].metadata.map(\.key) == ["a", "b"])
        #expect(all[0].epoch == 0)
        #expect(all[0].producerAccessMode == .shared)
        #expect(all[1].producerName == nil)
        #expect(all[1].userProvidedProducerName == false)
        #expect(all[0].producerID != all[1].producerID)
    }

    @Test func optionsThatMakeNoSenseAreRefused() async throws {
        let changes: [(inout PulsarProducerOptions) -> Void] = [
            { $0.maximumPendingMessages = -1 }, { $0.maximumPendingMessagesAcrossPartitions = -1 },
            { $0.maximumPendingBytes = 0 }, { $0.maximumBytesInFlight = 0 }, { $0.batchingMaximumMessages = 1 },
            { $0.batchingMaximumBytes = 0 },
            {
                $0.isBatchingEnabled = true
                $0.isChunkingEnabled = true
            },
            {
                $0.startsPartitionsLazily = true
                $0.accessMode = .exclusive
            },
            { $0.initialSequenceID = UInt64(Int64.max) }, { $0.sendTimeout = .seconds(-1) },
            { $0.batchingMaximumDelay = .seconds(-1) }, { $0.partitionUpdateInterval = .zero },
        ]
        for change in changes {
            var options = PulsarProducerOptions()
            change(&options)
            let error = #expect(throws: PulsarError.self) { try options.check() }
            #expect(error?.code == .invalidConfiguration)
        }
        #expect(throws: Never.self) { try PulsarProducerOptions().check() }
    }
}

extension WithBroker {
    /// When the broker has got what it holds.
    func releaseWhenHeld() async throws {
        while try await texts().isEmpty { await Task.yield() }
        try await broker.releaseHeld()
    }
}
