internal import TailraceDelivery

extension StatusReport {
    /// For people: a few lines for the agent, each input and each output.
    package var text: String {
        var lines: [String] = []
        let seconds = max(0, now - started) / 1000
        lines.append("tailrace \(version), process \(process) on \(host), up \(Self.period(seconds))")
        if let failure = configuration.failure {
            let time = configuration.failureTime.map { " at " + Timestamp.text(milliseconds: $0) } ?? ""
            for line in failure.split(separator: "\n") { lines.append("config  last reload failed\(time): \(line)") }
        }
        for text in configuration.needsRestart { lines.append("config  \(text)") }
        for blockage in blocked { lines.append("BLOCKED \(blockage)") }
        let bytes = Quantity.describe(bytes: spool.bytes), maximum = Quantity.describe(bytes: spool.maximumBytes)
        lines.append("spool   \(spool.directory): \(bytes) of \(maximum) in \(counted(spool.segments, "segment"))")
        lines.append(
            "        next id \(spool.nextSequence), durable below \(spool.committed), released below \(spool.released)"
                + (spool.carriedOver > 0 ? ", \(spool.carriedOver) records from before this start" : ""))
        if spool.unverified > 0 {
            lines.append("        being verified: \(counted(spool.unverified, "record")) from before this start to go")
        }
        if spool.quarantinedBytes > 0 {
            lines.append(
                "        quarantined: \(spool.quarantinedRecords) records, \(spool.quarantinedBytes) bytes")
        }
        if let failure = spool.failure { lines.append("        NOT WRITING: \(failure)") }
        for input in inputs { lines += input.text }
        for output in outputs { lines += output.text }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func period(_ seconds: Int64) -> String {
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60)
        if days > 0 { return "\(days) d \(hours) h" }
        if hours > 0 { return "\(hours) h \(minutes) min" }
        return minutes > 0 ? "\(minutes) min \(seconds % 60) s" : "\(seconds) s"
    }

    fileprivate static func verdict(_ unexplained: Int64) -> String {
        unexplained == 0 ? "closes" : "DOES NOT CLOSE: \(unexplained) unexplained"
    }
}

extension StatusReport.Input {
    fileprivate var text: [String] {
        // A journal and a socket have no size, and so nothing that is known not to be read yet.
        let known = counted(files, type == "file" ? "file" : "source")
        let rest = type == "file" || lagBytes > 0 ? ", \(Quantity.describe(bytes: lagBytes)) not read yet" : ""
        var lines = ["input   \(name) (\(type)\(isRemoved ? ", removed" : "")): \(known)\(rest)"]
        lines.append(
            "        existed \(existed) = acknowledged \(acknowledged) + spooled \(spooled) + filtered \(filtered)"
                + " + dropped \(dropped): \(StatusReport.verdict(unexplained))")
        for filter in filters where filter.records > 0 {
            lines.append("        filtered \(filter.records): \(filter.reason)")
        }
        if redacted > 0 { lines.append("        redacted: \(counted(redacted, "record"))") }
        if undecided > 0 {
            lines.append("        patterns gave up on \(counted(undecided, "record")), which went along")
        }
        for drop in drops where drop.records > 0 { lines.append("        dropped \(drop.records): \(drop.reason)") }
        if notices > 0 {
            lines.append("        of what existed, the agent's own: \(counted(notices, "notice")) of losses")
        }
        if lostBytes > 0 { lines.append("        lost unread: \(lostBytes) bytes, truncated or removed too early") }
        let counts = events.filter { $0.value > 0 } + levels.filter { $0.value > 0 && $0.name == "polled directories" }
        if !counts.isEmpty {
            lines.append("        " + counts.map { "\($0.name): \($0.value)" }.joined(separator: ", "))
        }
        for source in sources.prefix(10) {
            let hasSize = type == "file" || source.size > 0
            let progress = hasSize ? ", \(source.offset) of \(source.size) bytes" : ""
            lines.append("        \(source.path): \(source.condition)\(progress)")
        }
        return lines
    }
}

extension StatusReport.Output {
    fileprivate var text: [String] {
        var lines = ["output  \(name) (\(type)): \(state)"]
        if let lastError {
            let time = lastErrorTime.map { " at " + Timestamp.text(milliseconds: $0) } ?? ""
            lines.append("        last error\(time): \(lastError)")
        }
        lines.append(
            "        spooled \(spooled) = acknowledged \(acknowledged) + in flight \(inFlight) + waiting \(waiting)"
                + " + dead-lettered \(deadLettered) + dropped \(dropped): \(StatusReport.verdict(unexplained))")
        if deadLetters != DeadLetterCounts() { lines.append("        dead letters: \(deadLetters.text)") }
        lines.append("        guarantee: \(guarantee)" + (resent > 0 ? "; batches sent again: \(resent)" : ""))
        for partition in partitions {
            let last = partition.lastAcknowledged.map(String.init) ?? "none"
            lines.append(
                "        partition \(partition.id): last acknowledged id \(last)"
                    + (partition.isSlow
                        ? ", SLOW: passed over, \(counted(partition.passedOver, "record")) to be read again" : "")
                    + (partition.trouble.map { ", in trouble: \($0)" } ?? ""))
        }
        return lines
    }
}

extension DeadLetterCounts {
    fileprivate var text: String {
        "\(carriedOver) at the start + \(kept) since = \(inArea) there + replayed \(replayed) + dropped by hand \(dropped)"
            + " + damaged \(lost): \(StatusReport.verdict(unexplained))"
    }
}
