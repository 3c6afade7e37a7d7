import AMQP
import LocalHub
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import EventHubs

/// The buffered client against the package's own hub, and against one that does what it is told.
@Suite struct BufferedClientTests {
    /// What callbacks were told.
    final class Told: Sendable {
        let results = Mutex<[BufferedSendResult]>([])

        func options(_ change: (inout BufferingOptions) -> Void = { _ in }) -> BufferingOptions {
            var options = BufferingOptions()
            options.maximumWaitTime = .milliseconds(20)
            options.onSuccess = { result in
                #expect(result.error == nil)
                self.results.withLock { $0.append(result) }
            }
            options.onFailure = { result in
                #expect(result.error != nil)
                self.results.withLock { $0.append(result) }
            }
            change(&options)
            return options
        }

        var all: [BufferedSendResult] { results.withLock { $0 } }
        var succeeded: [String] { all.filter { $0.error == nil }.flatMap(\.events).compactMap(\.bodyText) }
        var failed: [String] { all.filter { $0.error != nil }.flatMap(\.events).compactMap(\.bodyText) }
    }

    private func withHub(
        _ buffering: BufferingOptions, _ change: (inout LocalHubConfiguration) -> Void = { _ in },
        _ body: (LocalHub, EventHubBufferedProducerClient) async throws -> Void
    ) async throws {
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.segmentSize = 1 << 20
        configuration.partitionSize = 16 << 20
        change(&configuration)
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        var options = EventHubsOptions()
        options.retries.delay = .milliseconds(1)
        let client = try EventHubBufferedProducerClient(
            connectionString: hub.connectionString, buffering: buffering, options: options)
        do {
            try await body(hub, client)
        } catch {
            try? await client.close(flush: false)
            await hub.stop()
            throw error
        }
        try await client.close()
        await hub.stop()
    }

    private func withScript(
        _ script: ScriptedHub.Script, _ buffering: BufferingOptions,
        _ change: (inout EventHubsOptions) -> Void = { _ in },
        _ body: (ScriptedHub, EventHubBufferedProducerClient) async throws -> Void
    ) async throws {
        let hub = try await ScriptedHub.start(script)
        var options = EventHubsOptions()
        options.retries.delay = .milliseconds(1)
        change(&options)
        let client = try EventHubBufferedProducerClient(
            connectionString: hub.plainConnectionString, buffering: buffering, options: options)
        do {
            try await body(hub, client)
        } catch {
            try? await client.close(flush: false, timeout: .milliseconds(100))
            await hub.stop()
            throw error
        }
        try? await client.close(flush: false, timeout: .milliseconds(100))
        await hub.stop()
    }

    private func failure(_ body: () async throws -> Void) async -> EventHubsError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? EventHubsError
        }
    }

    // MARK: Placing

    @Test func eventsGoToTheirPartitionToTheirKeysOrInTurn() async throws {
        let told = Told()
        try await withHub(told.options()) { hub, client in
            for number in 0..<8 { try await client.enqueue(EventData("turn \(number)")) }
            try await client.enqueue(EventData("id"), partitionID: "3")
            try await client.enqueue([EventData("a"), EventData("b")], partitionKey: "device-7")
            var own = EventData("own key")
            own.partitionKey = "device-7"
            try await client.enqueue(own)
            try await client.flush()
            #expect(client.totalBufferedEventCount == 0)
            let keyed = String(PartitionKeyHash.service.index(of: "device-7", partitionCount: 4))
            var places: [String: String] = [:]
            for result in told.all { for event in result.events { places[event.bodyText ?? ""] = result.partitionID } }
            #expect(places["id"] == "3")
            #expect(places["a"] == keyed && places["b"] == keyed && places["own key"] == keyed)
            for partition in 0..<4 {
                let turns = places.filter { $0.key.hasPrefix("turn") && $0.value == "\(partition)" }
                #expect(turns.count == 2)
            }
            #expect(hub.statistics.partitions.map(\.eventsStored).reduce(0, +) == 12)
            #expect(hub.statistics.connectionsAccepted == 1)
        }
    }

    @Test func thePythonHashIsASwitch() async throws {
        let told = Told()
        // The two disagree about this key: 1 and 3 of 4.
        try await withHub(told.options { $0.partitioner = .python }) { _, client in
            try await client.enqueue(EventData("x"), partitionKey: "abc")
            try await client.flush()
            #expect(told.all.map(\.partitionID) == ["3"])
        }
    }

    @Test func partitionsThatAreAddedAreUsedAndThoseThatChangePlacesAreNot() async throws {
        let told = Told()
        try await withScript(.init(), told.options { $0.partitionRefreshInterval = .milliseconds(1) }) { hub, client in
            func send() async throws {
                for number in 0..<4 { try await client.enqueue(EventData("\(number)")) }
                try await client.flush()
            }
            try await send()
            #expect(Set(told.all.map(\.partitionID)) == ["0", "1"])
            // No list of this hub: it would send keys astray.
            hub.script.withLock { $0.partitionIDs = ["2", "0", "1"] }
            let asked = hub.record.withLock { $0.requests.count }
            while hub.record.withLock({ $0.requests.count }) < asked + 3 { try await send() }
            #expect(Set(told.all.map(\.partitionID)) == ["0", "1"])
            hub.script.withLock { $0.partitionIDs = ["0", "1", "2"] }
            while !told.all.contains(where: { $0.partitionID == "2" }) { try await send() }
            #expect(told.failed.isEmpty)
            try await client.enqueue(EventData("by its id"), partitionID: "2")
            try await client.flush()
            #expect(client.bufferedEventCount(partitionID: "2") == 0)
            #expect(told.all.last?.partitionID == "2")
        }
    }

    @Test func contradictionsAndUnknownPartitionsAreRefusedAtOnce() async throws {
        try await withHub(BufferingOptions()) { hub, client in
            let both = await failure { try await client.enqueue(EventData("x"), partitionID: "0", partitionKey: "k") }
            #expect(both?.code == .invalidArgument)
            var keyed = EventData("x")
            keyed.partitionKey = "other"
            let mismatch = await failure { try await client.enqueue(keyed, partitionKey: "k") }
            #expect(mismatch?.code == .invalidArgument)
            let unknown = await failure { try await client.enqueue(EventData("x"), partitionID: "17") }
            #expect(unknown?.code == .notFound)
            #expect(unknown?.message.contains("0, 1, 2, 3") == true, "\(unknown as Any)")
            let large = await failure {
                try await client.enqueue(EventData(body: ByteBuffer(repeating: 0, count: 2 << 20)), partitionID: "0")
            }
            #expect(large?.code == .messageTooLarge)
            let list = await failure {
                try await client.enqueue([EventData("fine"), keyed], partitionKey: "k")
            }
            #expect(list?.message.hasPrefix("event 2 of 2") == true)
            #expect(client.totalBufferedEventCount == 1)
        }
    }

    @Test func limitsThatMakeNoSenseAreRefused() {
        for change: (inout BufferingOptions) -> Void in [
            { $0.maximumBufferLength = 0 }, { $0.maximumWaitTime = .seconds(-1) }, { $0.maximumConcurrentSends = 0 },
            { $0.maximumConcurrentSendsPerPartition = 101 }, { $0.maximumBufferSizeInBytes = 0 },
            { $0.resultBufferLength = 0 },
        ] {
            var buffering = BufferingOptions()
            change(&buffering)
            #expect(throws: EventHubsError.self) {
                try EventHubBufferedProducerClient(
                    connectionString: "Endpoint=sb://a/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=h",
                    buffering: buffering)
            }
        }
    }

    // MARK: Batches

    @Test func aBatchStaysWholeAndGoesWhereItsKeyBelongs() async throws {
        let told = Told()
        try await withHub(told.options()) { hub, client in
            var batch = try await client.createBatch(partitionKey: "abc")
            for number in 0..<5 {
                let added = try batch.tryAdd(EventData("\(number)"))
                #expect(added)
            }
            try await client.enqueue(batch)
            try await client.enqueue(try await client.createBatch())
            try await client.flush()
            #expect(told.all.count == 1 && told.succeeded == ["0", "1", "2", "3", "4"])
            #expect(told.all[0].partitionID == "1")
            #expect(hub.statistics.partitions[1].messagesStored == 1)
        }
    }

    @Test func countsAreThoseOfEventsWithoutAResult() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.ignore]
        let told = Told()
        try await withScript(script, told.options()) { hub, client in
            #expect(client.bufferedEventCount(partitionID: "0") == 0 && client.totalBufferedEventCount == 0)
            try await client.enqueue([EventData("a"), EventData("b")], partitionID: "0")
            try await client.enqueue(EventData("c"), partitionID: "1")
            #expect(client.bufferedEventCount(partitionID: "0") == 2)
            #expect(client.totalBufferedEventCount <= 3)
            // One of the two partitions is not answered.
            let incomplete = await failure { try await client.flush(timeout: .milliseconds(300)) }
            #expect(incomplete?.code == .timeout && incomplete?.partitionIDs.count == 1)
            let left = try #require(incomplete?.partitionIDs.first)
            #expect(client.bufferedEventCount(partitionID: left) == client.totalBufferedEventCount)
            #expect(client.bufferedEventCount(partitionID: "no such") == 0)
        }
    }

    // MARK: Waiting

    @Test func whoFindsNoRoomWaitsUntilTheDeadlineOrIsToldAtOnce() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.ignore]
        let told = Told()
        try await withScript(script, told.options { $0.maximumBufferLength = 2 }) { hub, client in
            let unready = try client.tryEnqueue(EventData("too early"))
            #expect(!unready)
            try await client.connect()
            for text in ["a", "b"] {
                let taken = try client.tryEnqueue(EventData(text), partitionID: "0")
                #expect(taken)
            }
            let third = try client.tryEnqueue(EventData("c"), partitionID: "0")
            #expect(!third)
            let late = await failure {
                try await client.enqueue(EventData("d"), partitionID: "0", timeout: .milliseconds(50))
            }
            #expect(late?.code == .timeout)
            let waiting = Task { try await client.enqueue(EventData("e"), partitionID: "0") }
            while client.core.producer.partition(0).waiting == 0 { await Task.yield() }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            let given = await failure { try await client.close(flush: false, timeout: .milliseconds(50)) }
            #expect(given?.code == .timeout)
            let closed = await failure { try await client.enqueue(EventData("f"), partitionID: "0") }
            #expect(closed?.code == .clientClosed)
        }
        #expect(told.failed.sorted() == ["a", "b"])
    }

    @Test func aHubThatCannotBeReachedIsTheErrorOfTheFirstEvent() async throws {
        let hub = try await ScriptedHub.start()
        let string = hub.plainConnectionString
        await hub.stop()
        var options = EventHubsOptions()
        options.retries.maximumRetries = 0
        let client = try EventHubBufferedProducerClient(connectionString: string, options: options)
        let error = await failure { try await client.enqueue(EventData("x")) }
        #expect(error?.code == .connectFailed)
        try await client.close()
    }

    // MARK: Results

    @Test func everyEventIsInExactlyOneResultOfTheSequenceToo() async throws {
        try await withHub(BufferingOptions()) { _, client in
            let results = client.results
            let reader = Task {
                var texts: [String] = []
                for await result in results where result.error == nil {
                    texts += result.events.compactMap(\.bodyText)
                    if texts.count == 100 { break }
                }
                return texts
            }
            for number in 0..<100 { try await client.enqueue(EventData("\(number)"), partitionID: "1") }
            try await client.flush()
            #expect(await reader.value == (0..<100).map { "\($0)" })
            #expect(results.droppedEventCount == 0)
        }
    }

    @Test func resultsThatNobodyReadsAreBoundedAndCounted() async {
        let queue = ResultQueue(limit: 5)
        func result(_ text: String) -> BufferedSendResult {
            BufferedSendResult(events: [EventData(text), EventData(text)], partitionID: "0", error: nil)
        }
        queue.append(result("before anybody asked"))
        queue.want()
        for number in 0..<4 { queue.append(result("\(number)")) }
        #expect(queue.dropped == 4)
        var left: [String?] = []
        for _ in 0..<2 { left.append(await queue.next()?.events.first?.bodyText) }
        #expect(left == ["2", "3"])
        let reader = Task { await queue.next() }
        reader.cancel()
        #expect(await reader.value == nil)
        queue.finish()
        #expect(await queue.next() == nil)
    }

    // MARK: Failures

    @Test func failuresThatMayPassAreTriedAgainInOrder() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [
            .state(.released),
            .state(.modified(deliveryFailed: true, undeliverableHere: false, annotations: AMQPMap())),
            .detach(AMQPError("amqp:link:detach-forced", "idle")),
            .closeConnection(AMQPError("amqp:connection:forced", "idle")), .accept,
        ]
        let told = Told()
        try await withScript(script, told.options(), { $0.retries.maximumRetries = 6 }) { hub, client in
            for number in 0..<50 { try await client.enqueue(EventData("\(number)"), partitionID: "0") }
            try await client.flush()
            #expect(told.succeeded == (0..<50).map { "\($0)" } && told.failed.isEmpty)
        }
    }

    @Test func permanentFailuresAndExhaustedRetriesAreFailureResults() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [
            .state(.rejected(AMQPError("com.microsoft:entity-disabled", "off"))), .state(.released), .state(.released),
            .state(.released), .accept,
        ]
        let told = Told()
        try await withScript(script, told.options(), { $0.retries.maximumRetries = 2 }) { hub, client in
            for text in ["a", "b", "c"] {
                try await client.enqueue(EventData(text), partitionID: "0")
                try await client.flush()
            }
            #expect(told.failed == ["a", "b"] && told.succeeded == ["c"])
            #expect(told.all[0].error?.code == .entityUnavailable)
            #expect(told.all[1].error?.code == .serviceFailure)
            #expect(hub.record.withLock { $0.deliveries.count } == 5)
        }
    }

    @Test func aThrottledBatchWaitsFourSecondsAndIsNotCounted() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.state(.rejected(AMQPError("com.microsoft:server-busy", "50002"))), .accept]
        let told = Told()
        try await withScript(script, told.options(), { $0.retries.maximumRetries = 0 }) { _, client in
            try await client.enqueue(EventData("x"), partitionID: "0")
            let start = ContinuousClock.now
            try await client.flush()
            #expect(told.succeeded == ["x"])
            #expect(start.duration(to: .now) >= .seconds(3.9))
        }
    }

    // MARK: Closing

    @Test func closingWithoutAFlushFailsWhatIsLeftAndClosingTwiceIsFine() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.ignore]
        let told = Told()
        try await withScript(script, told.options { $0.maximumWaitTime = nil }) { hub, client in
            for number in 0..<10 { try await client.enqueue(EventData("\(number)"), partitionID: "0") }
            try await client.close(flush: false, timeout: .seconds(1))
            #expect(told.failed == (0..<10).map { "\($0)" })
            #expect(told.all.allSatisfy { $0.error?.code == .clientClosed && $0.error?.isOutcomeUnknown == false })
            #expect(hub.record.withLock { $0.deliveries.isEmpty })
            try await client.close()
            let flush = await failure { try await client.flush() }
            #expect(flush == nil)
        }
    }

    @Test func aCloseThatRunsOutOfTimeNamesThePartitionsAndTellsEveryEvent() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.ignore]
        let told = Told()
        try await withScript(script, told.options()) { hub, client in
            for number in 0..<10 { try await client.enqueue(EventData("\(number)"), partitionID: "1") }
            let error = await failure { try await client.close(timeout: .milliseconds(300)) }
            #expect(error?.code == .timeout && error?.partitionIDs == ["1"])
            #expect(told.failed == (0..<10).map { "\($0)" })
            #expect(told.all.first?.error?.isOutcomeUnknown == true)
        }
    }

    @Test func aClientThatIsDroppedTellsEveryEvent() async throws {
        let hub = try await ScriptedHub.start()
        let told = Told()
        do {
            let client = try EventHubBufferedProducerClient(
                connectionString: hub.plainConnectionString, buffering: told.options { $0.maximumWaitTime = nil })
            for number in 0..<10 { try await client.enqueue(EventData("\(number)")) }
        }
        while told.all.flatMap(\.events).count < 10 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(told.all.allSatisfy { $0.error?.code == .clientClosed })
        await hub.stop()
    }

    // MARK: Numbers

    @Test func numberedEventsAreStoredOnceWhateverTheLinkDoes() async throws {
        let told = Told()
        let cuts = Mutex(0)
        let buffering = told.options {
            $0.isIdempotent = true
            $0.maximumConcurrentSendsPerPartition = 3
        }
        try await withHub(
            buffering,
            {
                $0.onDelivery = { delivery in
                    cuts.withLock { cuts in
                        cuts += 1
                        return cuts % 3 == 1 ? .storeThenEnd(.detach(AMQPError("amqp:link:detach-forced", "cut"))) : nil
                    }
                }
            }
        ) { hub, client in
            for number in 0..<300 {
                try await client.enqueue(EventData("\(number)"), partitionID: "2")
                if number % 50 == 49 { try await client.flush() }
            }
            #expect(told.succeeded == (0..<300).map { "\($0)" } && told.failed.isEmpty)
            #expect(hub.statistics.partitions[2].eventsStored == 300)
        }
    }

    /// The numbers of a batch that is given up are those of the next one, however long its callback takes.
    @Test func aNumberedBatchThatIsGivenUpLeavesNoGapBeforeTheNext() async throws {
        let told = Told()
        let mayEnd = Mutex(false)
        let buffering = told.options { options in
            options.isIdempotent = true
            let note = options.onFailure
            options.onFailure = { result in
                while !mayEnd.withLock({ $0 }) {}
                note?(result)
            }
        }
        let fault: @Sendable (HubDelivery) -> HubFault? = { $0.number <= 3 ? .answer(.released) : nil }
        try await withHub(buffering, { $0.onDelivery = fault }) { hub, client in
            for text in ["a", "b", "c"] {
                var batch = try await client.createBatch(partitionID: "2")
                let added = try batch.tryAdd(EventData(text))
                #expect(added)
                try await client.enqueue(batch)
            }
            // Three retries are used up; the next two are stored while the callback is still at the first.
            while hub.statistics.partitions[2].eventsStored < 2, client.totalBufferedEventCount == 3 {
                try await Task.sleep(for: .milliseconds(2))
            }
            mayEnd.withLock { $0 = true }
            try await client.flush()
            #expect(told.failed == ["a"] && told.succeeded == ["b", "c"])
            #expect(hub.statistics.partitions[2].eventsStored == 2)
        }
    }

    /// Whatever happens on the way, every event has one result, and what was told to be stored is stored in its order.
    @Test func faultsLeaveNoEventWithoutItsResult() async throws {
        for generator in [SeededGenerator(seed: 7), .fresh("buffered faults")] {
            let faults = Mutex(SeededGenerator(seed: generator.seed))
            let told = Told()
            let fault: @Sendable (HubDelivery) -> HubFault? = { _ in
                faults.withLock { generator in
                    switch Int.random(in: 0..<12, using: &generator) {
                    case 0: return .answer(.released)
                    case 1: return .end(.dropTransport)
                    case 2: return .end(.detach(AMQPError("amqp:link:detach-forced", "scripted")))
                    case 3: return .storeThenEnd(.dropTransport)
                    case 4: return .answer(.rejected(AMQPError("com.microsoft:argument-error", "scripted")))
                    default: return nil
                    }
                }
            }
            try await withHub(told.options { $0.maximumBufferLength = 20 }, { $0.onDelivery = fault }) { hub, client in
                for number in 0..<400 {
                    try await client.enqueue(EventData("\(number)"), partitionID: "\(number % 2)")
                }
                try await client.flush()
                let texts = told.all.flatMap(\.events).compactMap(\.bodyText)
                #expect(texts.count == 400 && Set(texts).count == 400)
                for partition in ["0", "1"] {
                    let own = told.all.filter { $0.partitionID == partition }.flatMap(\.events)
                        .compactMap { $0.bodyText.flatMap { Int($0) } }
                    #expect(own == own.sorted())
                }
            }
        }
    }
}
