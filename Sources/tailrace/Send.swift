import ArgumentParser
import CTailrace
import EventHubs
import Glibc
import Logging
import NIOPosix
import TailraceAgent

struct Send: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sends lines from standard input to an event hub, without a spool.",
        discussion: """
            Each line becomes an event, its bytes unchanged. Exits with 0 when every line was sent, with 1 when some \
            were not, which are told. SIGINT and SIGTERM end the reading; what was read is still sent.
            """)

    @OptionGroup var place: HubOptions

    @Option(help: ArgumentHelp("Sends in order to the partition of this key.", valueName: "key"))
    var key: String?

    @Option(name: .customLong("partition-id"), help: ArgumentHelp("Sends in order to this partition.", valueName: "id"))
    var partitionID: String?

    @Option(
        help: ArgumentHelp("Bytes of a batch at most; what the service takes when not given.", valueName: "size"),
        transform: { text in
            guard let size = Quantity.size(text), (1024...(100 << 20)).contains(size) else {
                throw ValidationError("--batch-size \(text) is not a size between 1KiB and 100MiB")
            }
            return Int(size)
        })
    var batchSize: Int?

    @Option(help: ArgumentHelp("Events of a batch at most.", valueName: "n"))
    var batchEvents = 100_000

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
        guard (1...1_000_000).contains(batchEvents) else {
            throw ValidationError("--batch-events is not between 1 and 1000000")
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
        do {
            let sender = try LineSender(
                settings(), group: MultiThreadedEventLoopGroup(numberOfThreads: 1), logger: logger)
            let watch: (@Sendable (SendProgress) -> Void)? = line.isShown ? { @Sendable in line.show($0) } : nil
            let result = try await sender.run(descriptor: STDIN_FILENO, stop: stop, watch: watch) {
                line.clear()
                Tailrace.printError($0)
            }
            line.clear()
            try report(result)
        } catch let error as EventHubsError {
            line.clear()
            throw SendError(error.message)
        }
    }

    private func settings() throws -> SendSettings {
        var settings = SendSettings(connectionString: try place.connectionString())
        settings.eventHub = place.hub
        settings.options = try place.options()
        if let key { settings.target = .key(key) }
        if let partitionID { settings.target = .partition(partitionID) }
        settings.maximumBatchBytes = batchSize
        settings.maximumBatchEvents = batchEvents
        settings.maximumWait = maxWait
        settings.timeout = timeout
        settings.isIdempotent = idempotent
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

/// One line on a terminal that is written anew; nothing when standard error is no terminal.
private final class ProgressLine: Sendable {
    let isShown = isatty(STDERR_FILENO) == 1
    private let begun = ContinuousClock.now

    func show(_ progress: SendProgress) {
        let seconds = begun.duration(to: .now) / .seconds(1)
        let text =
            "\r\(counted(progress.events, "event"))  \(SendProgress.megabytes(progress.bytes))  "
            + "\(progress.rates(seconds: seconds))  \(progress.inFlight) in flight"
            + (progress.retries > 0 ? "  \(progress.retries) sent again" : "") + "\u{1B}[K"
        StandardErrorLog.writeToStandardError(Array(text.utf8))
    }

    func clear() {
        guard isShown else { return }
        StandardErrorLog.writeToStandardError(Array("\r\u{1B}[K".utf8))
    }
}
