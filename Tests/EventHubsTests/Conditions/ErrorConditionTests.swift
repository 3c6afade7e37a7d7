import AMQP
import LocalHub
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import EventHubs

/// Every error condition of the service, returned at every moment at which it can come, against the hub that says it.
@Suite struct ErrorConditionTests {
    /// What the hub does to the next delivery and the next link, and what came.
    private final class Script: Sendable {
        struct State {
            var deliveryFaults: [HubFault] = []
            var attachFaults: [HubAttachFault] = []
            var deliveries = 0
            var attaches = 0
        }
        let state = Mutex(State())

        func set(deliveries: [HubFault] = [], attaches: [HubAttachFault] = []) {
            state.withLock { $0 = State(deliveryFaults: deliveries, attachFaults: attaches) }
        }

        func configure(_ configuration: inout LocalHubConfiguration) {
            configuration.onDelivery = { _ in
                self.state.withLock { state in
                    state.deliveries += 1
                    return state.deliveryFaults.isEmpty ? nil : state.deliveryFaults.removeFirst()
                }
            }
            configuration.onAttach = { attach in
                guard attach.kind == .producer else { return nil }
                return self.state.withLock { state in
                    state.attaches += 1
                    return state.attachFaults.isEmpty ? nil : state.attachFaults.removeFirst()
                }
            }
        }

        var deliveries: Int { state.withLock { $0.deliveries } }
        var attaches: Int { state.withLock { $0.attaches } }
    }

    private func withHub(
        _ body: (LocalHub, EventHubProducerClient, Script) async throws -> Void
    ) async throws {
        let script = Script()
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.segmentSize = 1 << 20
        configuration.partitionCount = 1
        script.configure(&configuration)
        let hub = try LocalHub(configuration, logger: PublishingHub.silent)
        _ = try await hub.start()
        let client = try Self.client(hub)
        do {
            try await body(hub, client, script)
        } catch {
            await client.close()
            await hub.stop()
            throw error
        }
        await client.close()
        await hub.stop()
    }

    private static func client(_ hub: LocalHub) throws -> EventHubProducerClient {
        var options = EventHubsOptions()
        options.retries.delay = .milliseconds(1)
        options.retries.maximumRetries = 3
        // The service's own waits of seconds are what `theServicesWaitsAreKept` is for.
        options.retries.maximumServiceDelay = .milliseconds(1)
        return try EventHubProducerClient(
            connectionString: hub.connectionString, options: options, logger: PublishingHub.silent)
    }

    private func stored(_ hub: LocalHub) -> Int { hub.statistics.partitions[0].messagesStored }

    private func send(_ client: EventHubProducerClient) async -> EventHubsError? {
        do {
            try await client.send([EventData("x")], partitionID: "0")
            return nil
        } catch {
            return error as? EventHubsError ?? EventHubsError(.serviceFailure, "\(error)")
        }
    }

    /// Until the client knows that its link is gone.
    private func awaitLoss(_ client: EventHubProducerClient) async throws {
        let connection = client.connection
        while try await connection.eventLoop.submit({ !connection.senders.isEmpty }).get() {
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func check(_ error: EventHubsError?, _ condition: ErrorCondition, _ when: Comment) {
        switch condition.reaction {
        case .retried, .unknown: #expect(error == nil, when)
        case .permanent(let code, let remedy):
            #expect(error?.code == code, when)
            #expect(error?.condition == condition.symbol, when)
            #expect(error?.message.contains(remedy) == true, "\(when): \(error?.message ?? "")")
        }
    }

    /// Whatever took the link away while nothing was sent: the next batch gets a new one and is delivered.
    @Test(arguments: ErrorCondition.all) func whileIdle(condition: ErrorCondition) async throws {
        let error = AMQPError(condition.symbol, condition.text)
        try await withHub { hub, client, script in
            #expect(await send(client) == nil)
            for end in [LocalHub.detachLinks, LocalHub.endSessions, LocalHub.closeConnections] {
                let before = stored(hub)
                script.set()
                end(hub)(error)
                try await awaitLoss(client)
                #expect(await send(client) == nil)
                #expect(stored(hub) == before + 1 && script.deliveries == 1 && script.attaches == 1)
            }
        }
    }

    /// A link that is refused says why, and a permanent reason is an error at once.
    @Test(arguments: ErrorCondition.all) func beforeTheFirstTransfer(condition: ErrorCondition) async throws {
        let error = AMQPError(condition.symbol, condition.text)
        try await withHub { hub, client, script in
            script.set(attaches: [.refuse(error)])
            check(await send(client), condition, "refused")
            switch condition.reaction {
            case .retried, .unknown: #expect(script.attaches == 2 && stored(hub) == 1)
            case .permanent: #expect(script.attaches == 1 && script.deliveries == 0)
            }
            // A refusal that does not pass is told with its own code, whatever it is.
            script.set(attaches: Array(repeating: .refuse(error), count: 10))
            let last = await send(try Self.client(hub))
            // What is lost is told by the scope: here it is only the link.
            let code = condition.code == .connectionLost ? .linkLost : condition.code
            #expect(last?.code == code && last?.condition == condition.symbol)
            // Agreed to, and taken away before there was credit: the batch was not sent, and the next link is asked.
            for cut in [HubFault.Cut.detach(error), .endSession(error), .closeConnection(error)] {
                let other = try Self.client(hub)
                let before = stored(hub)
                script.set(attaches: [.acceptThenEnd(cut)])
                let result = await send(other)
                #expect(result == nil, "\(cut)")
                #expect(stored(hub) == before + 1 && script.deliveries == 1, "\(cut)")
                await other.close()
            }
        }
    }

    /// A batch that is rejected, and batches whose link, session or connection ends under them.
    @Test(arguments: ErrorCondition.all) func withBatchesInFlight(condition: ErrorCondition) async throws {
        let error = AMQPError(condition.symbol, condition.text)
        try await withHub { hub, client, script in
            #expect(await send(client) == nil)
            script.set(deliveries: [.answer(.rejected(error))])
            let before = stored(hub)
            check(await send(client), condition, "rejected")
            switch condition.reaction {
            case .retried, .unknown: #expect(script.deliveries == 2 && stored(hub) == before + 1)
            case .permanent: #expect(script.deliveries == 1 && stored(hub) == before)
            }
            for cut in [HubFault.Cut.detach(error), .endSession(error), .closeConnection(error)] {
                let before = stored(hub)
                script.set(deliveries: [.end(cut)])
                let errors = await withTaskGroup(of: EventHubsError?.self) { group in
                    for _ in 0..<4 { group.addTask { await send(client) } }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                if condition.code == .messageTooLarge {
                    // A service that cannot take a message of this size says so by detaching.
                    #expect(errors.contains { $0?.code == .messageTooLarge }, "\(cut)")
                    continue
                }
                #expect(errors.allSatisfy { $0 == nil }, "\(cut): \(errors)")
                #expect(stored(hub) == before + 4, "\(cut)")
            }
        }
    }

    @Test func theServicesWaitsAreKept() {
        for condition in ErrorCondition.all {
            let advice = FailureAdvice.advice(for: condition.symbol, text: condition.text)
            #expect(advice.delay == .seconds(condition.wait), "\(condition)")
            #expect(advice.code == condition.code, "\(condition)")
            #expect(advice.isOutcomeUnknown == (condition.reaction == .unknown), "\(condition)")
        }
    }

    // MARK: - What has no condition

    @Test(arguments: [
        DeliveryState.released, .modified(deliveryFailed: true, undeliverableHere: false, annotations: AMQPMap()),
    ])
    func aBatchThatIsGivenBackIsSentAgain(state: DeliveryState) async throws {
        try await withHub { hub, client, script in
            script.set(deliveries: [.answer(state), .answer(state)])
            #expect(await send(client) == nil)
            #expect(stored(hub) == 1 && script.deliveries == 3)
        }
    }

    @Test func aLostTransportIsReplacedWhetherIdleOrBusy() async throws {
        try await withHub { hub, client, script in
            #expect(await send(client) == nil)
            hub.dropConnections()
            try await awaitLoss(client)
            #expect(await send(client) == nil)
            #expect(stored(hub) == 2)
            script.set(deliveries: [.end(.dropTransport)])
            let errors = await withTaskGroup(of: EventHubsError?.self) { group in
                for _ in 0..<4 { group.addTask { await send(client) } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(errors.allSatisfy { $0 == nil })
            #expect(stored(hub) == 6)
            script.set(attaches: [.acceptThenEnd(.dropTransport)])
            hub.dropConnections()
            try await awaitLoss(client)
            #expect(await send(client) == nil)
        }
    }

    @Test func aBusyServiceIsWaitedFor() async throws {
        let busy = HubFault.answer(.rejected(AMQPError("com.microsoft:server-busy", "50002: throttled")))
        try await withHub { hub, client, script in
            script.set(deliveries: Array(repeating: busy, count: 3))
            #expect(await send(client) == nil)
            #expect(script.deliveries == 4 && stored(hub) == 1)
            script.set(deliveries: Array(repeating: busy, count: 4))
            let error = await send(client)
            #expect(error?.code == .serverBusy && error?.message.contains("throughput units") == true)
        }
    }

    // MARK: - Tokens

    @Test func aTokenThatIsRefusedIsToldWithItsStatus() async throws {
        let expected: [(Int32, EventHubsError.Code)] = [
            (400, .rejected), (401, .unauthorized), (403, .quotaExceeded), (404, .notFound),
        ]
        for (status, code) in expected {
            var configuration = LocalHubConfiguration()
            configuration.isPlain = true
            configuration.onToken = { _ in .answer(status: status, text: "scripted") }
            let hub = try LocalHub(configuration, logger: PublishingHub.silent)
            _ = try await hub.start()
            let client = try Self.client(hub)
            let error = await send(client)
            #expect(error?.code == code, "\(status)")
            #expect(error?.message.contains("\(status)") == true)
            await client.close()
            await hub.stop()
        }
    }

    @Test func aTokenThatIsRefusedForNowIsPutAgain() async throws {
        for status: Int32 in [408, 500, 503] {
            var configuration = LocalHubConfiguration()
            configuration.isPlain = true
            configuration.onToken = { $0 < 2 ? .answer(status: status, text: "scripted") : .delay(.milliseconds(1)) }
            let hub = try LocalHub(configuration, logger: PublishingHub.silent)
            _ = try await hub.start()
            let client = try Self.client(hub)
            #expect(await send(client) == nil, "\(status)")
            await client.close()
            await hub.stop()
        }
    }
}
