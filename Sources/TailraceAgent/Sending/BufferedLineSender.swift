package import EventHubs
package import Logging
package import NIOCore

/// Sends lines from a descriptor to an event hub through a buffered client: each partition has a buffer of its own, and
/// batches of all of them are on their way at once.
package final class BufferedLineSender: Sendable {
    private let settings: SendSettings
    private let client: EventHubProducerClient

    package init(
        _ settings: SendSettings, group: any EventLoopGroup, logger: Logger
    ) throws(EventHubsError) {
        self.settings = settings
        var options = settings.clientOptions
        options.retries = Self.retries(within: settings.timeout)
        let endpoint = try EventHubEndpoint(
            settings.connectionString.reveal(), eventHubName: settings.eventHub, options: options)
        client = EventHubProducerClient(endpoint, options, group, logger)
    }

    /// As many attempts as there is time for.
    static func retries(within timeout: Duration) -> RetryOptions {
        var retries = RetryOptions()
        retries.delay = LineService.retry.first
        retries.maximumDelay = LineService.retry.cap
        var (count, wait, left) = (0, retries.delay, timeout)
        while left >= wait {
            left -= wait
            wait = min(wait * 2, retries.maximumDelay)
            count += 1
        }
        retries.maximumRetries = count
        return retries
    }

    /// As `LineSender.run`.
    package func run(
        descriptor: CInt, stop: StopPipe, watch: (@Sendable (SendProgress) -> Void)?,
        tell: @escaping @Sendable (String) -> Void
    ) async throws -> LineSender.Result {
        let tally = SendTally(stop)
        let buffering = settings.buffering ?? SendSettings.Buffering()
        var options = BufferingOptions()
        options.maximumBufferLength = buffering.maximumEvents
        options.maximumBufferSizeInBytes = buffering.maximumBytes
        options.maximumWaitTime = settings.maximumWait
        options.isIdempotent = settings.isIdempotent
        options.onSuccess = { result in
            tally.accept(
                events: result.events.count, bytes: result.events.reduce(0) { $0 + $1.body.readableBytes })
        }
        options.onFailure = { result in
            guard let error = result.error else { return }
            tally.refuse(error.message, events: result.events.count, isForEver: error.isForEver)
        }
        let buffered = try EventHubBufferedProducerClient(client, options)
        let taker: HubLineTaker
        do {
            try await buffered.connect(timeout: settings.timeout)
            taker = try await HubLineTaker(buffered, settings)
        } catch {
            try? await buffered.close(flush: false)
            throw error
        }
        return await LineHandover(taker, tally).run(
            descriptor: descriptor, stop: stop, patience: settings.timeout, watch: watch, tell: tell)
    }
}

extension EventHubsError {
    /// Nobody will repair it while we wait.
    fileprivate var isForEver: Bool {
        if case .failed(_, .blocked) = SendResult(notSent: self) { true } else { false }
    }
}

/// A buffered client as a feed of lines sees it.
private struct HubLineTaker: LineTaker {
    /// At the end, what is on its way gets this long.
    private static let closeLimit = Duration.seconds(5)

    private let client: EventHubBufferedProducerClient
    private let partitionID: String?
    private let partitionKey: String?
    let maximumLine: Int

    init(_ client: EventHubBufferedProducerClient, _ settings: SendSettings) async throws {
        self.client = client
        switch settings.target {
        case .anyPartition: (partitionID, partitionKey) = (nil, nil)
        case .key(let key): (partitionID, partitionKey) = (nil, key)
        case .partition(let id): (partitionID, partitionKey) = (id, nil)
        }
        let batch = try await client.createBatch(
            partitionID: partitionID, partitionKey: partitionKey, timeout: settings.timeout)
        let template = EventTemplate(partitionKey: partitionKey, reservesNumbers: settings.isIdempotent)
        maximumLine = EventBatchEncoder(maximumSize: batch.maximumSizeInBytes, partitionKey: partitionKey)
            .largestBody(template, properties: EventProperties())
    }

    var buffered: Int { client.totalBufferedEventCount }

    func tryTake(_ line: ByteBuffer) throws -> Bool {
        try client.tryEnqueue(EventData(body: line), partitionID: partitionID, partitionKey: partitionKey)
    }

    func take(_ line: ByteBuffer) async throws {
        try await client.enqueue(EventData(body: line), partitionID: partitionID, partitionKey: partitionKey)
    }

    func flush(timeout: Duration) async throws { try await client.flush(timeout: timeout) }

    func close() async { try? await client.close(flush: false, timeout: Self.closeLimit) }
}
