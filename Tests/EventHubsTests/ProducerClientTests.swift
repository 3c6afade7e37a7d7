import AMQP
import NIOCore
import OpenSSLTransport
import TestSupport
import Testing

@testable import EventHubs

@Suite struct ProducerClientTests {
    private func client(_ hub: ScriptedHub, _ change: (inout EventHubsOptions) -> Void = { _ in }) throws
        -> EventHubProducerClient
    {
        var options = EventHubsOptions()
        options.retries.delay = .milliseconds(1)
        change(&options)
        return try EventHubProducerClient(connectionString: hub.plainConnectionString, options: options)
    }

    private func withHub(
        _ script: ScriptedHub.Script = .init(), _ change: (inout EventHubsOptions) -> Void = { _ in },
        _ body: (ScriptedHub, EventHubProducerClient) async throws -> Void
    ) async throws {
        let hub = try await ScriptedHub.start(script)
        let client = try client(hub, change)
        do {
            try await body(hub, client)
        } catch {
            await client.close()
            await hub.stop()
            throw error
        }
        await client.close()
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

    /// One attempt through the agent's way in.
    private func sendOnce(_ client: EventHubProducerClient, _ text: String, _ partitionID: String?) async -> SendResult
    {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
        _ = try? batch.tryAdd(EventData(text))
        let payload = batch.payload
        return await withCheckedContinuation { continuation in
            client.connection.send(payload: payload, partitionID: partitionID) { continuation.resume(returning: $0) }
        }
    }

    @Test func batchesArriveAtHubAndPartitionOverOneConnection() async throws {
        try await withHub { hub, client in
            var batch = try await client.createBatch(partitionKey: "k1")
            #expect(batch.maximumSizeInBytes == 262_144)
            let added = try batch.tryAdd(EventData("one"))
            #expect(added)
            try await client.send(batch)
            try await client.send([EventData("two"), EventData("three")], partitionID: "1")
            try await client.send([EventData("four")], partitionID: "1")

            let record = hub.record.withLock { $0 }
            #expect(record.connections == 1)
            #expect(record.opens.first?.hostname == "127.0.0.1")
            #expect(record.opens.first?.idleTimeOut == 60000)
            #expect(record.deliveries.map(\.address) == ["/hub", "/hub/Partitions/1", "/hub/Partitions/1"])
            #expect(record.deliveries.allSatisfy { $0.format == 0x8001_3700 })
            let (envelope, events) = try BatchTests.events(record.deliveries[0].payload)
            #expect(envelope.messageAnnotations[symbol: "x-opt-partition-key"] == .string("k1"))
            #expect(events.map(\.body) == [.data([ByteBuffer(string: "one")])])
            #expect(try BatchTests.events(record.deliveries[1].payload).events.count == 2)

            let sender = record.attached.first { $0.target?.address == .string("/hub/Partitions/1") }
            #expect(sender?.senderSettleMode == .unsettled)
            #expect(sender?.properties[symbol: "com.microsoft:timeout"] == .uint(60000))
            #expect(record.attached.filter { $0.target?.address == .string("/hub/Partitions/1") }.count == 1)
        }
    }

    @Test func aTokenForTheHubIsPutBeforeAnythingElse() async throws {
        try await withHub { hub, client in
            _ = try await client.eventHubProperties()
            let record = hub.record.withLock { $0 }
            #expect(record.tokens.count == 1)
            #expect(record.tokens[0].audience == "sb://127.0.0.1/hub")
            #expect(record.tokens[0].type == "servicebus.windows.net:sastoken")
            #expect(record.tokens[0].token.hasPrefix("SharedAccessSignature sr=sb%3A%2F%2F127.0.0.1%2Fhub&sig="))
            guard case .timestamp(let expiry)? = record.tokens[0].expiry else {
                Issue.record("no expiration")
                return
            }
            #expect(expiry % 1000 == 0 && record.tokens[0].token.contains("&se=\(expiry / 1000)&"))
            #expect(record.attached.first?.source?.address == .string("$cbs"))
        }
    }

    @Test func propertiesOfHubAndPartitionsAreRead() async throws {
        try await withHub { hub, client in
            let properties = try await client.eventHubProperties()
            #expect(
                properties == EventHubProperties(name: "hub", createdAt: 1_600_000_000_000, partitionIDs: ["0", "1"]))
            let first = try await client.partitionProperties("0")
            #expect(first.lastEnqueuedSequenceNumber == 41)
            #expect(first.lastEnqueuedOffset == "1234")
            #expect(first.lastEnqueuedTime == 1_700_000_000_000)
            #expect(!first.isEmpty)
            let second = try await client.partitionProperties("1")
            #expect(second.isEmpty && second.lastEnqueuedTime == nil)
            let error = await failure { _ = try await client.partitionProperties("7") }
            #expect(error?.condition == "amqp:not-found")
            let requests = hub.record.withLock { $0.requests }
            #expect(requests[1][string: "partition"] == .string("0"))
            #expect(requests[0][string: "type"] == .string("com.microsoft:eventhub"))
            #expect(requests[0][string: "operation"] == .string("READ"))
        }
    }

    @Test func tlsWithACAFileAndAPortInTheEndpoint() async throws {
        let directory = TemporaryDirectory()
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        let identity = try authority.issue(names: ["127.0.0.1"])
        let files = TLSIdentityFiles(certificateChain: directory("server.pem"), privateKey: directory("server.key"))
        try identity.write(to: files)
        let hub = try await ScriptedHub.start(tls: try .server(identity: files))
        var options = EventHubsOptions()
        options.tls = EventHubsTLS(authorities: directory("ca.pem"))
        let client = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
        // Larger than a frame, so that it travels in several.
        let body = ByteBuffer(repeating: 7, count: 200_000)
        try await client.send([EventData(body: body)])
        #expect(hub.record.withLock { $0.deliveries.count } == 1)
        await client.close()
        // Without the file the certificate is nobody's: no retry can help, and the error says why.
        options.tls = EventHubsTLS()
        options.retries.maximumRetries = 0
        let stranger = try EventHubProducerClient(connectionString: hub.connectionString, options: options)
        let error = await failure { try await stranger.send([EventData("x")]) }
        #expect(error?.code == .connectFailed)
        #expect(error?.message.contains("certificate") == true, "\(String(describing: error))")
        await stranger.close()
        await hub.stop()
    }

    @Test func passingFailuresAreTriedAgain() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [
            .state(.released),
            .state(.modified(deliveryFailed: true, undeliverableHere: false, annotations: AMQPMap())),
            .detach(AMQPError("amqp:link:detach-forced", "moved")), .accept,
        ]
        try await withHub(script) { hub, client in
            try await client.send([EventData("x")])
            let record = hub.record.withLock { $0 }
            #expect(record.deliveries.count == 4)
            #expect(record.connections == 1)
        }
    }

    @Test func aLostConnectionIsMadeAnew() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.drop, .closeConnection(AMQPError("amqp:connection:forced", "inactive")), .accept]
        try await withHub(script) { hub, client in
            try await client.send([EventData("x")], partitionID: "0")
            let record = hub.record.withLock { $0 }
            #expect(record.connections == 3)
            #expect(record.tokens.count == 3)
            #expect(record.deliveries.count == 3)
        }
    }

    @Test func outcomesTellWhatMayComeOfTheBatch() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [
            .state(.rejected(AMQPError("com.microsoft:server-busy", "50002"))),
            .state(.rejected(AMQPError("com.microsoft:argument-error"))),
            .state(.rejected(AMQPError("com.microsoft:entity-disabled"))),
            .state(.rejected(nil)), .drop, .detach(AMQPError("amqp:link:message-size-exceeded", "too big")), .accept,
        ]
        try await withHub(script) { _, client in
            guard case .failed(let busy, .retriable(let wait)) = await sendOnce(client, "x", "0") else {
                Issue.record("server-busy")
                return
            }
            #expect(busy.code == .serverBusy && wait == .seconds(4))
            guard case .failed(_, .batchRefused) = await sendOnce(client, "x", "0") else {
                Issue.record("argument-error")
                return
            }
            guard case .failed(let disabled, .blocked) = await sendOnce(client, "x", "0") else {
                Issue.record("disabled")
                return
            }
            #expect(disabled.code == .entityUnavailable)
            guard case .failed(_, .retriable) = await sendOnce(client, "x", "0") else {
                Issue.record("rejected without a reason")
                return
            }
            guard case .failed(let lost, .unknown) = await sendOnce(client, "x", "0") else {
                Issue.record("drop")
                return
            }
            #expect(lost.code == .connectionLost)
            guard case .failed(_, .batchRefused) = await sendOnce(client, "x", "0") else {
                Issue.record("message-size-exceeded")
                return
            }
            #expect(await sendOnce(client, "x", "0") == .accepted)
        }
    }

    @Test func permanentFailuresAreNotTriedAgain() async throws {
        var script = ScriptedHub.Script()
        script.attaches = [AMQPError("amqp:not-found", "The messaging entity 'hub' could not be found.")]
        try await withHub(script) { hub, client in
            let error = await failure { try await client.send([EventData("x")]) }
            #expect(error?.code == .notFound)
            #expect(error?.message.contains("check the namespace") == true)
            #expect(hub.record.withLock { $0.deliveries.count } == 0)
        }
    }

    @Test func aRefusedTokenIsToldWithoutTheKey() async throws {
        var script = ScriptedHub.Script()
        script.tokens = [401, 401]
        try await withHub(script) { hub, client in
            let error = await failure { try await client.send([EventData("x")]) }
            #expect(error?.code == .unauthorized)
            #expect(error?.message.contains("401") == true)
            #expect(error?.description.contains("s3cret") == false)
            #expect(error?.description.contains("sig=") == false)
            guard case .failed(_, .blocked) = await sendOnce(client, "x", nil) else {
                Issue.record("not blocked")
                return
            }
            // The third token passes: nothing has to be restarted by hand.
            #expect(await sendOnce(client, "x", nil) == .accepted)
            #expect(hub.record.withLock { $0.tokens.count } == 3)
        }
    }

    @Test func tokensAreRenewedByATimerAlsoAfterARefusal() async throws {
        var script = ScriptedHub.Script()
        script.tokens = [202, 500, 202]
        try await withHub(script, { $0.tokenLifetime = .seconds(1) }) { hub, client in
            _ = try await client.eventHubProperties()
            // Nothing is asked of the client any more: the timer alone puts the others.
            while hub.record.withLock({ $0.tokens.count }) < 4 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(hub.record.withLock { $0.connections } == 1)
        }
    }

    @Test func aSilentServiceLeavesTheOutcomeUnknownWithinTheDeadline() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.ignore]
        try await withHub(script, { $0.sendTimeout = .milliseconds(500) }) { hub, client in
            // The link is there before the clock starts.
            _ = try await client.createBatch(partitionID: "0")
            guard case .failed(let error, .unknown) = await sendOnce(client, "x", "0") else {
                Issue.record("not unknown")
                return
            }
            #expect(error.code == .timeout)
            #expect(error.message.contains("hub/Partitions/0"))
            // A new link takes over.
            try await client.send([EventData("y")], partitionID: "0")
            let record = hub.record.withLock { $0 }
            #expect(record.deliveries.count >= 2)
            #expect(record.attached.filter { $0.target?.address == .string("/hub/Partitions/0") }.count >= 2)
        }
    }

    @Test func withoutCreditABatchWaitsAndIsNotSentAfterItsDeadline() async throws {
        var script = ScriptedHub.Script()
        script.credit = 0
        try await withHub(script, { $0.sendTimeout = .milliseconds(500) }) { hub, client in
            guard case .failed(let error, _) = await sendOnce(client, "x", "0") else {
                Issue.record("sent without credit")
                return
            }
            #expect(error.code == .timeout)
            hub.script.withLock { $0.credit = 100 }
            try await client.send([EventData("y")], partitionID: "0")
            let payloads = hub.record.withLock { $0.deliveries.map(\.payload) }
            let bodies = try payloads.map { payload in try BatchTests.events(payload).events[0].body }
            #expect(Set(bodies) == [.data([ByteBuffer(string: "y")])])
        }
    }

    @Test func aQuestionWithoutAnAnswerEndsAtItsDeadline() async throws {
        var script = ScriptedHub.Script()
        script.answersManagement = false
        try await withHub(
            script,
            {
                $0.requestTimeout = .milliseconds(100); $0.retries.maximumRetries = 1
            }
        ) { hub, client in
            let error = await failure { _ = try await client.eventHubProperties() }
            #expect(error?.code == .timeout)
            #expect(error?.message.contains("$management") == true)
            #expect(hub.record.withLock { $0.requests.count } == 2)
        }
    }

    @Test func aBatchLargerThanTheLinkTakesIsRefusedHere() async throws {
        var script = ScriptedHub.Script()
        script.maximumMessageSize = 100
        try await withHub(script) { hub, client in
            guard
                case .failed(let error, .batchRefused) = await sendOnce(client, String(repeating: "x", count: 200), nil)
            else {
                Issue.record("taken")
                return
            }
            #expect(error.code == .messageTooLarge)
            let large = await failure { try await client.send([EventData(String(repeating: "x", count: 200))]) }
            #expect(large?.code == .messageTooLarge)
            let size = await failure { _ = try await client.createBatch(maximumSizeInBytes: 101) }
            #expect(size?.code == .invalidArgument)
            let both = await failure { _ = try await client.createBatch(partitionID: "0", partitionKey: "k") }
            #expect(both?.code == .invalidArgument)
            #expect(hub.record.withLock { $0.deliveries.count } == 0)
        }
    }

    @Test func manyBatchesForOnePartitionKeepTheirOrder() async throws {
        try await withHub { hub, client in
            await withTaskGroup { group in
                let (stream, continuation) = AsyncStream.makeStream(of: SendResult.self)
                for index in 0..<200 {
                    var batch = EventDataBatch(maximumSizeInBytes: 1 << 20)
                    _ = try? batch.tryAdd(EventData("\(index)"))
                    client.connection.send(payload: batch.payload, partitionID: "0") { continuation.yield($0) }
                }
                group.addTask {
                    var accepted = 0
                    for await result in stream {
                        #expect(result == .accepted)
                        accepted += 1
                        if accepted == 200 { return }
                    }
                }
            }
            let payloads = hub.record.withLock { $0.deliveries.map(\.payload) }
            let bodies = try payloads.map { payload in try BatchTests.events(payload).events[0].body }
            #expect(bodies == (0..<200).map { .data([ByteBuffer(string: "\($0)")]) })
        }
    }

    @Test func oneEventIsAMessageOfItsOwnWithItsKeyAndAllItsSections() async throws {
        try await withHub { hub, client in
            var event = EventData(sections: [ByteBuffer(string: "a"), ByteBuffer(string: "b")], properties: ["n": 5])
            event.messageID = "id"
            try await client.send(event, partitionKey: "k")
            try await client.send(EventData("plain"), partitionID: "1")
            try await client.send([])
            let deliveries = hub.record.withLock { $0.deliveries }
            #expect(deliveries.map(\.format) == [0, 0])
            #expect(deliveries.map(\.address) == ["/hub", "/hub/Partitions/1"])
            event.partitionKey = "k"
            #expect(try EventData(decoding: deliveries[0].payload) == event)
        }
    }

    @Test func contradictoryPlacesAreRefusedBeforeAnythingIsSent() async throws {
        try await withHub { hub, client in
            var keyed = EventData("x")
            keyed.partitionKey = "own"
            for error in [
                await failure { try await client.send(EventData("x"), partitionID: "0", partitionKey: "k") },
                await failure { try await client.send([EventData("x")], partitionID: "0", partitionKey: "k") },
                await failure { try await client.send([], partitionID: "0", partitionKey: "k") },
                await failure { try await client.send(keyed, partitionKey: "k") },
                await failure { try await client.send([keyed], partitionKey: "k") },
            ] {
                #expect(error?.code == .invalidArgument && error?.isOutcomeUnknown == false)
            }
            // Its own key alone is fine, and so is an empty one beside it.
            try await client.send(keyed, partitionKey: "")
            #expect(hub.record.withLock { $0.deliveries.count } == 1)
        }
    }

    @Test func oneDeadlineCoversEverythingAndLeavesTheOutcomeUnknown() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.ignore]
        try await withHub(script) { hub, client in
            let start = ContinuousClock.now
            let error = await failure { try await client.send(EventData("x"), timeout: .milliseconds(400)) }
            #expect(error?.code == .timeout && error?.isOutcomeUnknown == true)
            #expect(error?.message.contains("not known") == true)
            // The options' own deadline for one attempt is a minute.
            #expect(start.duration(to: .now) < .seconds(30))
            #expect(hub.record.withLock { $0.deliveries.count } == 1)
        }
    }

    @Test func aDeadlineBeforeTheTransferSaysThatNothingWasSent() async throws {
        var script = ScriptedHub.Script()
        script.answersTokens = false
        try await withHub(script) { hub, client in
            let error = await failure { try await client.send(EventData("x"), timeout: .milliseconds(300)) }
            #expect(error?.code == .timeout && error?.isOutcomeUnknown == false)
            let batch = await failure { _ = try await client.createBatch(timeout: .milliseconds(100)) }
            #expect(batch?.code == .timeout)
            let question = await failure { _ = try await client.partitionIDs(timeout: .milliseconds(100)) }
            #expect(question?.code == .timeout)
            #expect(hub.record.withLock { $0.deliveries.isEmpty })
        }
    }

    @Test func theWaitForARetryEndsAtTheDeadline() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.state(.rejected(AMQPError("com.microsoft:server-busy", "50002"))), .accept]
        try await withHub(script) { hub, client in
            // Four seconds are not there: the error comes at once, not after the wait.
            let start = ContinuousClock.now
            let error = await failure { try await client.send(EventData("x"), timeout: .seconds(3)) }
            #expect(error?.code == .serverBusy && start.duration(to: .now) < .seconds(3))
            #expect(hub.record.withLock { $0.deliveries.count } == 1)
        }
    }

    @Test func aCancelledTaskStopsWaitingAtOnce() async throws {
        var script = ScriptedHub.Script()
        script.transfers = [.ignore]
        try await withHub(script) { hub, client in
            let sending = Task { try await client.send(EventData("x")) }
            while hub.record.withLock({ $0.deliveries.isEmpty }) { try await Task.sleep(for: .milliseconds(2)) }
            sending.cancel()
            await #expect(throws: CancellationError.self) { try await sending.value }
            let before = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await client.send(EventData("y"))
            }
            await #expect(throws: CancellationError.self) { try await before.value }
            #expect(hub.record.withLock { $0.deliveries.count } == 1)
        }
    }

    @Test func aClosedClientRefusesEverything() async throws {
        try await withHub { hub, client in
            try await client.send(EventData("x"))
            await client.close()
            await client.close()
            for error in [
                await failure { try await client.send(EventData("x")) },
                await failure { try await client.send([EventData("x")]) },
                await failure { _ = try await client.createBatch() },
                await failure { _ = try await client.partitionIDs() },
                await failure { _ = try await client.partitionProperties("0") },
            ] {
                #expect(error?.code == .clientClosed)
            }
            #expect(hub.record.withLock { $0.deliveries.count } == 1)
        }
    }

    @Test func aMissingPartitionIsToldWithThoseThatThereAre() async throws {
        var script = ScriptedHub.Script()
        let missing = AMQPError("com.microsoft:argument-out-of-range", "The specified partition is invalid")
        script.attaches = [missing, missing]
        try await withHub(script) { hub, client in
            for error in [
                await failure { try await client.send(EventData("x"), partitionID: "17") },
                await failure { _ = try await client.createBatch(partitionID: "17") },
                await failure { _ = try await client.partitionProperties("17") },
            ] {
                #expect(error?.code == .notFound)
                #expect(error?.message == "event hub hub has no partition 17; its partitions are 0, 1")
                #expect(error?.partitionIDs == ["17"])
            }
        }
    }

    @Test func aClientIsMadeFromANamespaceAndACredential() async throws {
        let client = try EventHubProducerClient(
            fullyQualifiedNamespace: "contoso.servicebus.windows.net", eventHubName: "telemetry",
            credential: .sharedKey(name: "send", key: "canary"))
        #expect(client.fullyQualifiedNamespace == "contoso.servicebus.windows.net")
        #expect(client.eventHubName == "telemetry")
        #expect(client.connection.endpoint.audience == "sb://contoso.servicebus.windows.net/telemetry")
        await client.close()
        #expect(
            await failure {
                _ = try EventHubProducerClient(
                    fullyQualifiedNamespace: "contoso", eventHubName: "",
                    credential: .sharedKey(name: "send", key: "canary"))
            }?.code == .invalidArgument)
    }

    @Test func nothingListensThere() async throws {
        let hub = try await ScriptedHub.start()
        let string = hub.plainConnectionString
        await hub.stop()
        var options = EventHubsOptions()
        options.retries.maximumRetries = 1
        options.retries.delay = .milliseconds(1)
        let client = try EventHubProducerClient(connectionString: string, options: options)
        let error = await failure { try await client.send([EventData("x")]) }
        #expect(error?.code == .connectFailed)
        #expect(error?.message.contains("127.0.0.1:\(hub.port)") == true)
        await client.close()
        let closed = await failure { try await client.send([EventData("x")]) }
        #expect(closed?.code == .clientClosed)
    }

    @Test func theHubsNameMustBeKnownAndUnambiguous() async {
        let string = "Endpoint=sb://a/;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true"
        #expect(await failure { _ = try EventHubProducerClient(connectionString: string) }?.code == .invalidArgument)
        let twice = await failure {
            _ = try EventHubProducerClient(connectionString: string + ";EntityPath=b", eventHubName: "c")
        }
        #expect(twice?.code == .invalidArgument)
        let file = await failure {
            var options = EventHubsOptions()
            options.tls = EventHubsTLS(authorities: "/nonexistent/ca.pem")
            let tls = "Endpoint=sb://a/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=b"
            _ = try EventHubProducerClient(connectionString: tls, options: options)
        }
        #expect(file?.message.contains("/nonexistent/ca.pem") == true)
    }
}
