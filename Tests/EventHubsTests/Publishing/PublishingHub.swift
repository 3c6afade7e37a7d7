import LocalHub
import Logging
import NIOCore
import NIOPosix
import TestSupport

@testable import EventHubs

/// A hub with one partition whose stored events can be read, and connections to it.
struct PublishingHub {
    let hub: LocalHub
    private let directory: TemporaryDirectory

    static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// Runs `body` and returns the bodies of the events that partition 0 then holds.
    @discardableResult
    static func with(
        _ configure: (inout LocalHubConfiguration) -> Void = { _ in }, in directory: TemporaryDirectory? = nil,
        _ body: (PublishingHub) async throws -> Void
    ) async throws -> [String] {
        let directory = directory ?? TemporaryDirectory("publishing")
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.segmentSize = 1 << 20
        configuration.partitionCount = 1
        configuration.storeDirectory = directory("store")
        configure(&configuration)
        let hub = try LocalHub(configuration, logger: silent)
        _ = try await hub.start()
        do {
            try await body(PublishingHub(hub: hub, directory: directory))
        } catch {
            await hub.stop()
            throw error
        }
        await hub.stop()
        var texts: [String] = []
        try HubStore.forEachBody(directory: directory("store"), partition: 0, logger: silent) {
            texts.append(String(decoding: $0, as: UTF8.self))
        }
        return texts
    }

    func connect(sendTimeout: Duration = .seconds(30)) throws -> EventHubConnection {
        var options = EventHubsOptions()
        options.sendTimeout = sendTimeout
        let string = try EventHubsConnectionString(hub.connectionString)
        return EventHubConnection(
            try EventHubEndpoint(string), options: options, eventLoop: MultiThreadedEventLoopGroup.singleton.next(),
            logger: Self.silent)
    }

    /// A batch whose events have these texts.
    static func batch(_ texts: [String]) throws -> PublishableBatch {
        var batch = EventDataBatch(maximumSizeInBytes: 1 << 20, partitionID: "0", reservesNumbers: true)
        for text in texts {
            guard try batch.tryAdd(EventData(text)) else { throw EventHubsError(.messageTooLarge, "the batch is full") }
        }
        return PublishableBatch(batch.payload, count: batch.count)
    }
}

extension PartitionPublisher {
    /// Transmits batches in order and returns what became of each.
    func publishAll(_ batches: some Sequence<PublishableBatch>) async -> [SendResult] {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promises = batches.map { batch in
            let promise = loop.makePromise(of: SendResult.self)
            publish(batch) { promise.succeed($0) }
            return promise
        }
        var results: [SendResult] = []
        for promise in promises {
            results.append((try? await promise.futureResult.get()) ?? .failed(EventHubsError(.timeout, ""), .blocked))
        }
        return results
    }

    func publishOne(_ batch: PublishableBatch) async -> SendResult {
        await withCheckedContinuation { continuation in publish(batch) { continuation.resume(returning: $0) } }
    }

    /// As a lane does it: at most `window` in flight; after a failure everything in flight ends first, and then it goes on
    /// with the oldest that is not done. Returns the batches that were refused, and the first error that ended it all.
    func deliver(_ batches: [PublishableBatch], window: Int) async -> (refused: [Int], blocked: EventHubsError?) {
        var waiting = Array(batches.indices)
        var refused: [Int] = []
        while !waiting.isEmpty {
            let round = Array(waiting.prefix(window))
            var done: Set<Int> = []
            for (index, result) in zip(round, await publishAll(round.map { batches[$0] })) {
                switch result {
                case .accepted: done.insert(index)
                case .failed(_, .batchRefused):
                    refused.append(index)
                    done.insert(index)
                case .failed(let error, .blocked): return (refused, error)
                case .failed(_, .retriable), .failed(_, .unknown): break
                }
            }
            waiting.removeAll { done.contains($0) }
        }
        return (refused, nil)
    }
}
