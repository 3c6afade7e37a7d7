import ArgumentParser
import CTailrace
import EventHubs
import Glibc
import Logging
import NIOPosix
import Pulsar
import TailraceAgent

struct Send: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sends lines from standard input to an event hub or a Pulsar topic, without a spool.",
        discussion: """
            Each line becomes an event or a message, its bytes unchanged. Exits with 0 when every line was sent, with 1 when some \
            were not, which are told. SIGINT and SIGTERM end the reading; what was read is still sent.
            """)

    @OptionGroup var place: HubOptions

    @OptionGroup var topic: TopicOptions

    @Option(help: ArgumentHelp("Sends in order to the partition of this key.", valueName: "key"))
    var key: String?

    @Option(name: .customLong("partition-id"), help: ArgumentHelp("Sends in order to this partition.", valueName: "id"))
    var partitionID: String?

    @Option(
        help: ArgumentHelp("Bytes of a batch at most; what the service takes when not given.", valueName: "size"),
        transform: { try size($0, "--batch-size", upTo: "100MiB") })
    var batchSize: Int?

    @Option(help: ArgumentHelp("Events of a batch at most; 100000 when not given.", valueName: "n"))
    var batchEvents: Int?

    @Option(
        help: ArgumentHelp("How long a line may wait for others to fill its batch.", valueName: "duration"),
        transform: { try duration($0, "--max-wait", in: .zero ... .seconds(3600)) })
    var maxWait = Duration.milliseconds(100)

    @Option(
        help: ArgumentHelp("How long a batch is tried before it is given up.", valueName: "duration"),
        transform: { try duration($0, "--timeout", in: .milliseconds(100) ... .seconds(86_400)) })
    var timeout = Duration.seconds(60)

    @Flag(help: "Numbers the events, so that a batch that is sent again is not stored again.")
    var idempotent = false

    @Flag(
        help: """
            Gives every partition a buffer, and has batches of all of them on their way at once. Without key and \
            partition the lines go to the partitions in turn.
            """)
    var buffered = false

    @Option(
        help: ArgumentHelp(
            "With --buffered or to Pulsar: lines that a partition's buffer holds until they are sent; 10000 when not given.",
            valueName: "n"))
    var bufferLength: Int?

    @Option(
        help: ArgumentHelp("With --buffered: the same in bytes; 8MiB when not given.", valueName: "size"),
        transform: { try size($0, "--buffer-size", upTo: "1GiB") })
    var bufferSize: Int?

    private static func size(_ text: String, _ option: String, upTo limit: String) throws -> Int {
        guard let size = Quantity.size(text), let most = Quantity.size(limit), (1024...most).contains(size) else {
            throw ValidationError("\(option) \(text) is not a size between 1KiB and \(limit)")
        }
        return Int(size)
    }

    static func duration(
        _ text: String, _ option: String, in range: ClosedRange<Duration>
    ) throws -> Duration {
        guard let duration = Quantity.duration(text), range.contains(duration) else {
            throw ValidationError("\(option) \(text) is not a duration such as 500ms, 5s or 2m")
        }
        return duration
    }

    func validate() throws {
        if key != nil, partitionID != nil {
            throw ValidationError("--key and --partition-id exclude each other")
        }
        if let key, key.isEmpty || key.utf8.count > 128 { throw ValidationError("--key has 1 to 128 bytes") }
        if partitionID == "" { throw ValidationError("--partition-id is empty") }
        for (option, count) in [("--batch-events", batchEvents), ("--buffer-length", bufferLength)] {
            guard (1...1_000_000).contains(count ?? 1) else {
                throw ValidationError("\(option) is not between 1 and 1000000")
            }
        }
        if buffered, batchSize != nil || batchEvents != nil {
            throw ValidationError(
                "--batch-size and --batch-events do not go with --buffered: its batches are what --buffer-length,"
                    + " --buffer-size and the service have room for")
        }
        if topic.serviceURL != nil {
            guard !place.isGiven, !buffered, !idempotent, bufferSize == nil, partitionID == nil else {
                throw ValidationError(
                    "the options of event hubs, --buffered, --buffer-size, --idempotent and --partition-id do not go with"
                        + " --service-url")
            }
            return
        }
        try place.require()
        if !buffered, bufferLength != nil || bufferSize != nil {
            throw ValidationError("--buffer-length and --buffer-size need --buffered")
        }
    }

    func run() async throws {
        tailrace_tune_memory()
        tailrace_hide_memory()
        signal(SIGPIPE, SIG_IGN)
        let stop = StopPipe()
        stop.raiseOnSignals()
        let shared = StandardErrorLog.Shared()
        let logger = Logger(label: "send") { StandardErrorLog(label: $0, level: .warning, shared: shared) }
        let line = ProgressLine()
        let begun = ContinuousClock.now
        do {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let watch: (@Sendable (SendProgress) -> Void)? =
                line.isShown ? { @Sendable in line.show($0.text(after: begun.duration(to: .now))) } : nil
            let tell = { @Sendable (text: String) in
                line.clear()
                Tailrace.printError(text)
            }
            let result: LineSender.Result
            if let url = topic.serviceURL {
                result = try await PulsarLineSender(pulsarSettings(url), group: group, logger: logger)
                    .run(descriptor: STDIN_FILENO, stop: stop, watch: watch, tell: tell)
            } else if buffered {
                result = try await BufferedLineSender(settings(), group: group, logger: logger)
                    .run(descriptor: STDIN_FILENO, stop: stop, watch: watch, tell: tell)
            } else {
                result = try await LineSender(settings(), group: group, logger: logger)
                    .run(descriptor: STDIN_FILENO, stop: stop, watch: watch, tell: tell)
            }
            line.clear()
            try report(result)
        } catch let error as EventHubsError {
            line.clear()
            throw SendError(error.message)
        } catch let error as PulsarError {
            line.clear()
            throw SendError(error.message)
        }
    }

    private func pulsarSettings(_ url: String) throws -> PulsarSendSettings {
        var settings = PulsarSendSettings(serviceURL: url, topic: topic.topic ?? "")
        settings.identity = try topic.identity()
        if let file = place.caFile { settings.client.tls = PulsarTLS(authorities: file) }
        if let chain = topic.clientCertificate, let key = topic.clientKey {
            settings.client.tls.clientCertificate = .init(chainFile: chain, privateKeyFile: key)
        }
        settings.producer.name = topic.producerName
        settings.producer.compression = PulsarCompression(rawValue: topic.compression.rawValue) ?? .none
        if let batchSize { settings.producer.batchingMaximumBytes = batchSize }
        if let batchEvents { settings.producer.batchingMaximumMessages = batchEvents }
        if let bufferLength { settings.producer.maximumPendingMessages = bufferLength }
        settings.producer.batchingMaximumDelay = maxWait
        settings.key = key
        settings.timeout = timeout
        return settings
    }

    private func settings() throws -> SendSettings {
        var settings = SendSettings(connectionString: try place.connectionString())
        settings.eventHub = place.hub
        settings.options = try place.options()
        if let key { settings.target = .key(key) }
        if let partitionID { settings.target = .partition(partitionID) }
        settings.maximumBatchBytes = batchSize
        if let batchEvents { settings.maximumBatchEvents = batchEvents }
        settings.maximumWait = maxWait
        settings.timeout = timeout
        settings.isIdempotent = idempotent
        if buffered {
            var buffering = SendSettings.Buffering()
            if let bufferLength { buffering.maximumEvents = bufferLength }
            if let bufferSize { buffering.maximumBytes = bufferSize }
            settings.buffering = buffering
        }
        return settings
    }

    private func report(_ result: LineSender.Result) throws {
        let progress = result.progress
        let seconds = result.duration / .seconds(1)
        var text =
            "sent \(counted(progress.events, "event")), \(SendProgress.megabytes(progress.bytes)) in"
            + " \(SendProgress.decimal(seconds)) s: \(progress.rates(seconds: seconds))"
        if progress.unknownOutcomes > 0 {
            text +=
                "; \(counted(progress.unknownOutcomes, "batch", plural: "batches")) sent again without knowing the outcome"
        }
        Tailrace.write(Array((text + "\n").utf8))
        var problems: [String] = []
        if progress.failed > 0 {
            let reasons = progress.reasons.map { "\($0.text) (\(counted($0.events, "event")))" }
            problems.append(
                "\(progress.failed) of \(counted(progress.failed + progress.events, "event")) not sent: "
                    + reasons.joined(separator: "; "))
        }
        if result.passedOver > 0 { problems.append("\(counted(result.passedOver, "line")) too long and not sent") }
        if result.unfinished > 0 {
            problems.append(
                "the last line had no end yet: its \(counted(result.unfinished, "byte")) were not sent")
        }
        if let error = result.inputError { problems.append(error) }
        for problem in problems { Tailrace.printError(problem) }
        if !problems.isEmpty { throw ExitCode(1) }
    }
}

extension SendProgress {
    /// For a line on a terminal, so long after the begin.
    fileprivate func text(after time: Duration) -> String {
        "\(counted(events, "event"))  \(SendProgress.megabytes(bytes))  \(rates(seconds: time / .seconds(1)))"
            + "  \(inFlight) in flight" + (retries > 0 ? "  \(retries) sent again" : "")
    }
}
