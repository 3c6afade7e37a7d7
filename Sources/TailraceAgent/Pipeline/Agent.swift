import CTailrace
import Glibc
package import Logging
internal import NIOCore
import NIOPosix
internal import ServiceLifecycle
import Synchronization
internal import TailraceDelivery
internal import TailraceInputs
internal import TailraceSpool

/// The whole agent: inputs, spool and outputs of one configuration, put together, supervised and stopped.
package final class Agent: Sendable {
    /// A stop takes at most this long in order, and then at most as long again by force.
    static let stopLimit = Duration.seconds(12)
    /// After so long, and then again, it is looked whether what the start took of memory can be given back.
    private static let settlingTime = TimeAmount.seconds(2)
    /// Batches that inputs may fill at the same time, in bytes: the agent's largest piece of memory.
    static let batchMemory = 8 << 20

    let configuration: AgentConfiguration
    let logger: Logger
    private let started = Timestamp.now()
    let spool: Spool
    private let sink: SpoolSink
    private let account: InputAccount
    let inputs: [any RunningInput]
    private let outputs: [any RunningOutput]
    private let ledgers: [Ledger]
    /// One per output.
    let deadLetters: [DeadLetterArea]
    private let group: MultiThreadedEventLoopGroup
    private let progress = Mutex(ProgressWatch())

    /// Opens the spool and everything that lies in it; nothing runs before `run`.
    ///
    /// - Throws: what stands in the way, such as another agent with the same state directory.
    package init(_ configuration: AgentConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        // What can be wrong without touching the state directory comes first.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.group = group
        let outlets = try configuration.outputs.map {
            try Self.outlet($0, eventLoop: group.next(), logger: logger)
        }
        let makers = try InputMakers(configuration)
        try Self.makeDirectory(configuration.stateDirectory)
        let longest = configuration.inputs.map(\.maximumLine).max() ?? 0
        let block = max(1 << 20, (longest + LineSplitter.reserve + 8192) & ~4095)
        let spool = try Spool.open(configuration.mainSpool, logger: logger)
        self.spool = spool
        let names = configuration.inputs.map(\.name)
        let pool = BatchPool(blockCapacity: block, limit: max(4, Self.batchMemory / block))
        sink = SpoolSink(
            spool: spool, pool: pool, inputs: names, filters: configuration.inputs.map { InputFilter($0) },
            logger: logger)
        account = InputAccount(spool: spool, inputs: names)
        inputs = try makers.make(positions: spool.positions(), sink: sink, logger: logger)
        let floors = SpoolFloors(spool, outputs: configuration.outputs.count)
        let places = configuration.places
        let deadLetters = configuration.outputs.map { output in
            DeadLetterArea(
                output: output.name, directory: places.deadLetters(output: output.name), main: spool, logger: logger)
        }
        self.deadLetters = deadLetters
        var ledgers: [Ledger] = []
        var outputs: [any RunningOutput] = []
        for (index, output) in configuration.outputs.enumerated() {
            let ledger = try Ledger.open(
                directory: configuration.places.spool, name: "\(output.name).ledger",
                firstSequence: spool.statistics().firstSequence, logger: logger)
            ledgers.append(ledger)
            outputs.append(
                outlets[index].output(
                    output.name, key: output.key, partitionCheck: output.partitionCheck, spool: spool, ledger: ledger,
                    deadLetters: deadLetters[index],
                    account: index == 0 ? account : nil, logger: logger,
                    release: { floors.set($0, output: index) }))
        }
        self.ledgers = ledgers
        self.outputs = outputs
        tellOfOrphans()
        for area in deadLetters { open(area) }
    }

    /// So that the status tells of dead letters, and they can be replayed; what is wrong with them must not stop the rest.
    private func open(_ area: DeadLetterArea) {
        do throws(DeadLetterError) {
            _ = try area.openIfThere()
        } catch {
            logger.error(
                "cannot open the dead-letter area", metadata: ["directory": "\(area.directory)", "reason": "\(error)"])
        }
    }

    /// An output that was removed or renamed leaves its ledger behind; whoever renamed it should know that the new name
    /// begins with the oldest record that is still in the spool.
    private func tellOfOrphans() {
        guard let stream = opendir(configuration.places.spool) else { return }
        defer { closedir(stream) }
        let known = Set(configuration.outputs.map { "\($0.name).ledger" })
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasSuffix(".ledger"), !known.contains(name) else { continue }
            logger.warning(
                "a ledger belongs to no output of the configuration; remove the file when its output is gone for good",
                metadata: ["file": "\(configuration.places.spool)/\(name)"])
        }
    }

    private static func outlet(
        _ settings: OutputSettings, eventLoop: any EventLoop, logger: Logger
    ) throws(AgentError) -> any Outlet {
        switch settings {
        case .eventHubs(let settings): try EventHubsOutlet(settings, eventLoop: eventLoop, logger: logger)
        case .pulsar(let settings): try PulsarOutlet(settings, eventLoop: eventLoop, logger: logger)
        }
    }

    /// Makes the last two components at most: a path that is wrong further up is a mistake.
    private static func makeDirectory(_ path: String) throws(AgentError) {
        if mkdir(path, 0o750) == 0 || errno == EEXIST { return }
        let parent = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
        if errno == ENOENT, !parent.isEmpty {
            mkdir(String(parent), 0o755)
            if mkdir(path, 0o750) == 0 || errno == EEXIST { return }
        }
        throw AgentError(
            "cannot make the state directory \(path): \(SystemError.describe(errno)); make it for the agent's user")
    }

    /// Runs until SIGTERM or SIGINT, and returns after everything was stopped in order.
    package func run(manager: ServiceManager = ServiceManager()) async throws {
        let control = try ControlServer.start(path: configuration.places.controlSocket, logger: logger) { [weak self] in
            self?.answer($0) ?? []
        }
        defer { control.stop() }
        var metrics: MetricsServer?
        if let address = configuration.metrics {
            metrics = try await startMetrics(address)
        }
        let inputs = inputs.map {
            InputRunner($0, logger: logger) { [sink, spool] in
                sink.close()
                spool.close()
            }
        }
        // Stopped from the last to the first: the inputs, then the outputs, each with its deadline.
        var group = ServiceGroupConfiguration(
            services: outputs + inputs + [Announcement(manager: manager)],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        group.maximumGracefulShutdownDuration = Self.stopLimit
        group.maximumCancellationDuration = Self.stopLimit
        logger.info(
            "started",
            metadata: [
                "version": "\(Version.text)", "state": "\(configuration.stateDirectory)",
                "inputs": "\(configuration.inputs.count)", "outputs": "\(configuration.outputs.count)",
            ])
        // What the start needed is not needed for the weeks after it.
        settle(StartMemory())
        do {
            try await ServiceGroup(configuration: group).run()
        } catch {
            await metrics?.stop()
            await close()
            throw error
        }
        await metrics?.stop()
        await close()
        logger.info("stopped")
    }

    private func settle(_ memory: StartMemory) {
        group.next().scheduleTask(in: Self.settlingTime) { [weak self] in
            guard let self else { return }
            var memory = memory
            let statistics = spool.statistics()
            if memory.isToBeReleased(next: statistics.nextSequence, released: statistics.released) {
                tailrace_trim_memory()
                tailrace_release_startup_pages()
            }
            if !memory.isSettled { settle(memory) }
        }
    }

    /// Service lifecycle tells every step; only its warnings are of interest.
    private var quiet: Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    private func close() async {
        sink.close()
        for area in deadLetters { area.close() }
        spool.close()
        for ledger in ledgers { ledger.close() }
        try? await group.shutdownGracefully()
    }

    private func startMetrics(_ address: ListenAddress) async throws -> MetricsServer {
        do {
            return try await MetricsServer.start(address, group: group) { [weak self] path in
                guard let self else { return .init(isHealthy: false, body: []) }
                return path == "/health" ? self.health() : .init(body: self.report(timeoutMilliseconds: 0).metrics)
            }
        } catch {
            throw AgentError("cannot listen on \(address) for metrics: \(error); change [agent] metrics")
        }
    }

    // MARK: Status

    private func health() -> MetricsServer.Answer {
        let report = report(timeoutMilliseconds: 0)
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let now = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        var troubles: [String] = []
        if let failure = report.spool.failure { troubles.append("spool: \(failure)") }
        for output in report.outputs {
            let stuck = progress.withLock {
                $0.note(
                    output.name, acknowledged: output.acknowledged, backlog: output.inFlight + output.waiting, now: now)
            }
            if let stuck {
                troubles.append("output \(output.name): no progress for \(stuck / 1000) s, \(output.state)")
            }
        }
        let text = troubles.isEmpty ? "ok\n" : troubles.joined(separator: "\n") + "\n"
        return .init(isHealthy: troubles.isEmpty, body: Array(text.utf8))
    }

    /// - Parameter timeoutMilliseconds: how long to wait for the inputs to tell about their files.
    package func report(timeoutMilliseconds: Int = 500) -> StatusReport {
        var report = StatusReport()
        report.process = getpid()
        report.host = configuration.host
        report.started = started
        report.outputs = outputs.map { $0.report() }
        let statistics = spool.statistics()
        let acknowledged = account.acknowledged(below: statistics.released)
        // Before the records that went on, so that none is seen as passed on and not yet as existing.
        let filtered = configuration.inputs.indices.map { sink.filterCounts($0) }
        let totals = sink.totals
        report.spool = Self.spool(statistics, directory: configuration.places.spool)
        report.spool.carriedOver = account.start > statistics.released ? account.start - statistics.released : 0
        let reports = inputs.reduce(into: [String: InputReport]()) { reports, input in
            reports.merge(input.reports(timeoutMilliseconds: timeoutMilliseconds)) { $1 }
        }
        for (index, input) in configuration.inputs.enumerated() {
            let found = reports[input.name] ?? InputReport()
            var part = StatusReport.Input()
            part.name = input.name
            part.type = input.type
            part.bytes = totals[index].bytes
            part.acknowledged = acknowledged[index]
            part.spooled = totals[index].records &- part.acknowledged
            part.add(found)
            part.add(filtered[index])
            part.existed = totals[index].records &+ part.filtered &+ part.dropped
            report.inputs.append(part)
        }
        report.now = Timestamp.now()
        return report
    }

    private static func spool(_ statistics: SpoolStatistics, directory: String) -> StatusReport.Spool {
        var part = StatusReport.Spool()
        part.directory = directory
        part.nextSequence = statistics.nextSequence
        part.committed = statistics.committed
        part.released = statistics.released
        part.bytes = statistics.bytesOnDisk
        part.maximumBytes = statistics.maximumSize
        part.segments = statistics.segments
        part.unverified = statistics.unverified
        part.quarantinedRecords = statistics.quarantinedRecords
        part.quarantinedBytes = statistics.quarantinedBytes
        switch statistics.trouble {
        case nil: break
        case .full: part.failure = "full: the outputs have to acknowledge, or give it more with maximum_size"
        case .noSpace(let text): part.failure = "no space: \(text)"
        case .failing(let text): part.failure = text
        }
        return part
    }
}

extension StatusReport.Input {
    /// What was dropped, and the sources: their number, the lag, and the most interesting of them.
    fileprivate mutating func add(_ report: InputReport) {
        drops = report.drops.filter { $0.records > 0 }.map { StatusReport.Drop(reason: $0.reason, records: $0.records) }
        lostBytes = report.lostBytes
        notices = report.notices
        events = report.events
        levels = report.levels
        files = report.sources.count
        lagBytes = report.lagBytes
        sources = report.sources.sorted { ($0.isTroubled ? 1 : 0, $0.lag) > ($1.isTroubled ? 1 : 0, $1.lag) }
            .prefix(Self.maximumSources).map { state in
                var source = StatusReport.Source()
                source.path = state.path
                source.condition = state.condition
                source.size = state.size
                source.offset = state.offset
                return source
            }
    }
}

extension StatusReport.Input {
    /// What the input's filter held back, and why.
    fileprivate mutating func add(_ counts: RecordFilterCounts) {
        filtered = counts.filtered
        redacted = counts.redacted
        undecided = counts.undecided
        for (reason, records) in [
            ("matches no pattern of keep", counts.notKept), ("matches a pattern of drop", counts.dropped),
            ("not in the sample", counts.notSampled),
        ] where records > 0 {
            filters.append(StatusReport.Drop(reason: reason, records: records))
        }
        if counts.notRedactable > 0 {
            drops.append(
                StatusReport.Drop(reason: "redaction reached its limits", records: counts.notRedactable))
        }
    }
}

/// Tells the service manager when everything runs and when it stops.
private struct Announcement: Service {
    let manager: ServiceManager

    func run() async throws {
        manager.ready()
        try await gracefulShutdown()
        manager.stopping()
    }
}
