import CTailrace
import Glibc
internal import Logging
internal import NIOCore
internal import Transports

// From start to stop.
extension Agent {
    /// Runs until a signal tells it to stop, and returns after everything was stopped in order. Blocks: nothing must stand
    /// between a stop and its deadlines, so this is for a thread of its own, not for a task.
    ///
    /// - Parameter upkeep: called now and then, at least every quarter of a minute; must wait for nothing.
    package func run(
        obeying signals: AgentSignals, manager: ServiceManager = ServiceManager(),
        upkeep: @escaping @Sendable () -> Void = {}
    ) throws {
        defer { close() }
        let configuration = configuration
        let control = try ControlServer.start(path: configuration.places.controlSocket, logger: logger) { [weak self] in
            self?.answer($0) ?? []
        }
        defer { control.stop() }
        if let address = configuration.metrics {
            let server = try startMetrics(address)
            parts.withLock { $0.metrics = server }
        }
        defer { parts.withLock { $0.metrics }?.stopAndWait() }
        signals.obey { [orders, logger] order in
            switch order {
            case .stop:
                StopLimits.enforce(logger)
                orders.stop()
            case .end: StopLimits.endNow(logger)
            case .reload: orders.reload()
            }
        }
        let all = parts.withLock { $0 }
        // Outputs first: what an input brings finds them there.
        for output in all.outputs { begin(output.runner) }
        for input in all.inputs { begin(input) }
        logger.info(
            "started",
            metadata: [
                "version": "\(Version.text)", "state": "\(configuration.stateDirectory)",
                "inputs": "\(configuration.inputs.count)", "outputs": "\(configuration.outputs.count)",
            ])
        manager.ready()
        let watch = WatchdogThread(
            manager, logger: logger, sight: { self.sight() }, status: { self.balanceLine() }, upkeep: upkeep)
        self.watch.withLock { $0 = watch }
        watch.start()
        defer {
            watch.stop()
            self.watch.withLock { $0 = nil }
        }
        // What the start needed, or an hour of much work, is not needed for the weeks after it.
        releaseMemory(QuietMemory())
        let failure = obeyOrders(manager)
        StopLimits.enforce(logger)
        manager.stopping()
        stop()
        if let failure { throw failure }
        logger.info("stopped")
    }

    /// Until something is the end of it: why, if nobody wanted that.
    private func obeyOrders(_ manager: ServiceManager) -> (any Error)? {
        while true {
            switch orders.next() {
            case .stop: return nil
            case .fail(let error): return error
            case .reload:
                manager.reloading()
                reload()
                manager.status(balanceLine())
                manager.ready()
            }
        }
    }

    func begin(_ part: any RunningPart) {
        part.start { [orders] in orders.fail($0) }
    }

    /// The inputs, then the outputs, each with their deadline: what inputs bring at the end can still be sent.
    private func stop() {
        let parts = parts.withLock { $0 }
        for input in parts.inputs { input.stop() }
        cutOff(parts.inputs, after: StopLimits.inputs)
        tell(of: parts.inputs)
        for output in parts.outputs { output.runner.stop() }
        let outputs = parts.outputs.map { $0.runner as any RunningPart }
        _ = StopLimits.wait(for: outputs, milliseconds: StopLimits.outputs)
        tell(of: outputs)
    }

    /// Waits for inputs that were told to end. Those that have not ended after so many milliseconds do not wait for the spool
    /// any longer.
    ///
    /// - Parameter isCut: whether there is no more time at all.
    func cutOff(_ inputs: [InputRunner], after milliseconds: Int, unless isCut: () -> Bool = { false }) {
        if StopLimits.wait(for: inputs, milliseconds: milliseconds, unless: isCut) { return }
        for input in inputs where !input.life.hasEnded {
            logger.warning("the \(input) are held back by the spool; what they have not written is read again")
            input.cutOff()
        }
        _ = StopLimits.wait(for: inputs, milliseconds: StopLimits.released)
    }

    /// What does not end is left behind: the process ends without it.
    private func tell(of parts: [any RunningPart]) {
        for part in parts where !part.life.hasEnded {
            logger.warning("the \(part) did not end in time; the agent ends without waiting for it any longer")
        }
    }

    /// Gives memory back when it is quiet, now and then.
    private func releaseMemory(_ memory: QuietMemory) {
        group.next().scheduleTask(in: memory.pause) { [weak self] in
            guard let self else { return }
            var memory = memory
            let statistics = spool.statistics()
            let progress = QuietMemory.Progress(next: statistics.nextSequence, released: statistics.released)
            let release = memory.release(progress)
            if release == .all {
                sink.releaseMemory()
                for output in parts.withLock({ $0.outputs }) { output.runner.releaseMemory() }
            }
            if release != .nothing {
                // What the others let go of is free as soon as their threads have taken note.
                group.next().scheduleTask(in: .milliseconds(100)) {
                    tailrace_trim_memory()
                    tailrace_release_startup_pages()
                }
            }
            releaseMemory(memory)
        }
    }

    private func close() {
        sink.close()
        for area in deadLetters { area.close() }
        spool.close()
        for output in parts.withLock({ $0.outputs }) { output.ledger.close() }
        try? group.syncShutdownGracefully()
    }

    func startMetrics(_ address: ListenAddress) throws -> MetricsServer {
        do {
            return try MetricsServer.start(address, group: group) { [weak self] path in
                self?.answer(path) ?? .init(isHealthy: false, body: [])
            }.wait()
        } catch {
            throw AgentError(
                "cannot listen on \(address) for metrics: \(ConnectFailure.text(error)); stop what listens there (ss -lnp"
                    + " shows it), or change [agent] metrics")
        }
    }
}
