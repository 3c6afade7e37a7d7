package import EventHubs
package import Logging
package import NIOCore
internal import Producing
import Synchronization
internal import TailraceDelivery

/// Why a sending could not begin or had to end: one line for people.
package struct SendError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Sends lines from a descriptor to an event hub, without a spool: what is not sent when it ends is told, not kept.
package final class LineSender: Sendable {
    /// How a sending ended.
    package struct Result: Sendable {
        package var progress = SendProgress()
        /// Lines that no batch has room for.
        package var passedOver: UInt64 = 0
        /// Bytes of the last line, which had no end when the reading was stopped: they were not sent.
        package var unfinished: UInt64 = 0
        /// Why the input ended before its end.
        package var inputError: String?
        package var duration = Duration.zero
    }

    /// Batches on their way at a time when the order does not matter, each of them in a lane of its own.
    private static let unorderedLanes = 4
    /// Numbered batches of one partition on their way at a time.
    private static let numberedWindow = 3
    /// Batches on their way at most, however many partitions there are.
    private static let mostBatches = 8
    /// Beyond those on their way, so that there is always one to go on with.
    private static let waitingBatches = 2

    private let settings: SendSettings
    private let client: EventHubProducerClient
    private let logger: Logger

    package init(
        _ settings: SendSettings, group: any EventLoopGroup, logger: Logger
    ) throws(EventHubsError) {
        self.settings = settings
        self.logger = logger
        let options = settings.clientOptions
        let endpoint = try EventHubEndpoint(
            settings.connectionString.reveal(), eventHubName: settings.eventHub, options: options)
        client = EventHubProducerClient(endpoint, options, group, logger)
    }

    /// Sends until the input ends or `stop` is raised, and then what was read.
    ///
    /// - Parameters:
    ///   - watch: told how it stands, now and then.
    ///   - tell: given each line for people, such as about a line that is too long.
    package func run(
        descriptor: CInt, stop: StopPipe, watch: (@Sendable (SendProgress) -> Void)?,
        tell: @escaping @Sendable (String) -> Void
    ) async throws -> Result {
        let limit = try await maximumBatch()
        let publishers = settings.isIdempotent ? try await publishers() : nil
        let lanes = publishers?.count ?? (settings.target == .anyPartition ? Self.unorderedLanes : 1)
        let window = publishers == nil ? 1 : Self.numberedWindow
        let queue = LineQueue(
            limit: min(lanes * window, Self.mostBatches) + Self.waitingBatches, stop: stop)
        var key: String?
        if case .key(let text) = settings.target { key = text }
        let feed = LineFeed(descriptor: descriptor, stop: stop, tell: tell)
        let template = EventTemplate(partitionKey: key, reservesNumbers: publishers != nil)
        let outcome = Mutex(LineFeed.Outcome())
        let progress = Mutex(SendProgress())
        let begun = ContinuousClock.now
        let reader = Life()
        reader.start("send read") { [settings, key] in
            var batching = LineBatching(
                queue, template: template, partitionKey: key, maximumBatchBytes: limit,
                maximumBatchEvents: settings.maximumBatchEvents, maximumWait: settings.maximumWait)
            let end = feed.run(into: &batching)
            outcome.withLock { $0 = end }
        }
        let sender = Life()
        let service = LineService(client, settings, publishers, queue)
        sender.start("send") {
            SendLoop(service, queue: queue, lanes: lanes, window: window, watch: watch).run { done in
                progress.withLock { $0 = done }
            }
        }
        await sender.waitForEnd()
        await reader.waitForEnd()
        var result = Result()
        result.duration = begun.duration(to: .now)
        result.progress = progress.withLock { $0 }
        let end = outcome.withLock { $0 }
        if end.unsent > 0, let reason = service.endReason { result.progress.noteFailure(reason, events: end.unsent) }
        result.passedOver = end.passedOver
        result.unfinished = end.unfinished
        result.inputError = end.error
        await client.close()
        return result
    }

    /// An idempotent producer for each partition that lines go to.
    private func publishers() async throws -> [PartitionPublisher] {
        do {
            let all = try await client.askEventHubProperties().get().partitionIDs
            let ids: [String]
            switch settings.target {
            case .anyPartition: ids = all
            case .key(let key): ids = [all[PartitionKeyHash.service.index(of: key, partitionCount: all.count)]]
            case .partition(let id): ids = [id]
            }
            var publishers: [PartitionPublisher] = []
            for id in ids {
                let publisher = client.makePublisher(partitionID: id, replacesRefused: true)
                guard try await publisher.open().get() != nil else {
                    throw SendError("the namespace does not support idempotent publishing; send without --idempotent")
                }
                publishers.append(publisher)
            }
            return publishers
        } catch let error as EventHubsError {
            throw SendError(error.message)
        }
    }

    /// Bytes of a batch; asks the service, which proves that it can be reached.
    private func maximumBatch() async throws -> Int {
        var partitionID: String?
        if case .partition(let id) = settings.target { partitionID = id }
        let deadline = ContinuousClock.now.advanced(by: settings.timeout)
        var policy = LineService.retry
        policy.suggestedCap = settings.timeout
        var random = SystemRandomNumberGenerator()
        var failures = 0
        while true {
            let error: EventHubsError
            do {
                let limit = try await client.askMaximumMessageSize(partitionID: partitionID).get()
                let wanted = settings.maximumBatchBytes ?? SendSettings.defaultBatchBytes
                if let size = settings.maximumBatchBytes, size > limit {
                    throw SendError("a batch of \(size) bytes was asked for; the service takes \(limit)")
                }
                return min(wanted, limit)
            } catch let failure as EventHubsError {
                error = failure
            }
            guard case .failed(_, .retriable(let after)) = SendResult(notSent: error) else {
                throw SendError(error.message)
            }
            failures += 1
            let pause = policy.delay(afterFailures: failures, suggested: after, using: &random)
            guard ContinuousClock.now.advanced(by: pause) < deadline else { throw SendError(error.message) }
            try await Task.sleep(for: pause)
        }
    }
}
