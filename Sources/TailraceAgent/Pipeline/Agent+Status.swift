import Glibc
internal import TailraceInputs
internal import TailraceSpool

// How it stands.
extension Agent {
    /// - Parameter timeoutMilliseconds: how long to wait for the inputs to tell about their files.
    package func report(timeoutMilliseconds: Int = 500) -> StatusReport {
        var report = StatusReport()
        let parts = parts.withLock { $0 }
        report.process = getpid()
        report.host = parts.configuration.host
        report.started = started
        report.blocked = blockages
        report.configuration = history.withLock { $0 }
        report.configuration.file = parts.configuration.file
        report.outputs = parts.outputs.map { $0.runner.report() }
        let statistics = spool.statistics()
        let acknowledged = account.acknowledged(below: statistics.released)
        let inputs =
            parts.configuration.inputs.map { (name: $0.name, type: $0.type, isRemoved: false) }
            + parts.removed.map { (name: $0.name, type: $0.type, isRemoved: true) }
        // Before the records that went on, so that none is seen as passed on and not yet as existing.
        let filtered = inputs.map { sink.filterCounts($0.name) }
        let totals = sink.totals
        report.spool = Self.spool(statistics, directory: parts.configuration.places.spool)
        report.spool.carriedOver = account.start > statistics.released ? account.start - statistics.released : 0
        var reports: [String: InputReport] = [:]
        for runner in parts.inputs {
            reports.merge(runner.input.reports(timeoutMilliseconds: timeoutMilliseconds)) { $1 }
        }
        for (index, input) in inputs.enumerated() {
            var found = reports[input.name] ?? InputReport()
            if let past = parts.past[input.name] { found.addCounts(of: past) }
            let number = roster.index(of: input.name) ?? .max
            let total = totals.indices.contains(number) ? totals[number] : SpoolSink.Counts()
            var part = StatusReport.Input()
            part.name = input.name
            part.type = input.type
            part.isRemoved = input.isRemoved
            part.bytes = total.bytes
            part.acknowledged = acknowledged.indices.contains(number) ? acknowledged[number] : 0
            part.spooled = total.records &- part.acknowledged
            part.add(found)
            part.add(filtered[index])
            part.existed = total.records &+ part.filtered &+ part.dropped
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
        part.failure = statistics.trouble?.text
        return part
    }

    /// What the watchdog found at its last look.
    var blockages: [String] { (watch.withLock { $0 }?.blockages ?? []).map(\.description) }
}

extension SpoolTrouble {
    /// What is wrong, and what to do.
    var text: String {
        switch self {
        case .full: "full: the outputs have to acknowledge, or give it more with maximum_size"
        case .noSpace(let text): "no space: \(text)"
        case .failing(let text): text
        }
    }
}

extension StatusReport.Input {
    /// What was dropped, and the sources: their number, the lag, and the most interesting of them.
    fileprivate mutating func add(_ report: InputReport) {
        drops = report.drops.map { StatusReport.Drop(reason: $0.reason, records: $0.records) }
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
        redacted = counts.redacted
        undecided = counts.undecided
        for (reason, records) in [
            ("matches no pattern of keep", counts.notKept), ("matches a pattern of drop", counts.dropped),
            ("not in the sample", counts.notSampled),
        ] { filters.append(StatusReport.Drop(reason: reason, records: records)) }
        drops.append(StatusReport.Drop(reason: "redaction reached its limits", records: counts.notRedactable))
    }
}
