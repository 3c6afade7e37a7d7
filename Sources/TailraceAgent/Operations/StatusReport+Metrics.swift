internal import TailraceDelivery
internal import TailraceInputs

extension StatusReport {
    /// The numbers in Prometheus' text format. Series for each input, output and partition, none for a file, a connection or a
    /// peer: their number has no limit. What has happened never so far is told as 0, so that the first time is a rise.
    package func metrics(_ usage: ProcessUsage) -> [UInt8] {
        var text = MetricsText()
        text.add(usage, started: started)
        text.family("tailrace_build_info", .gauge, "1, with the version.", [([("version", version)], 1)])
        text.family(
            "tailrace_blocked_stages", .gauge, "Parts of the agent that do not get on.",
            MetricsText.Value(blocked.count))
        text.add(configuration)
        text.add(spool)
        text.add(inputs)
        text.addEvents(of: inputs)
        text.add(outputs)
        return text.bytes
    }
}

extension MetricsText {
    fileprivate mutating func add(_ history: ReloadHistory) {
        family(
            "tailrace_config_reloads_total", .counter, "Configurations that were read while the agent ran.",
            [([("outcome", "loaded")], .count(history.reloads)), ([("outcome", "refused")], .count(history.failures))])
        family(
            "tailrace_config_last_reload_successful", .gauge, "0 when the last configuration was refused.",
            Value(history.failure == nil))
        family(
            "tailrace_config_loaded_timestamp_seconds", .gauge,
            "When the configuration in force was read, in seconds since 1970.", .milliseconds(history.loaded))
    }

    fileprivate mutating func add(_ spool: StatusReport.Spool) {
        family("tailrace_spool_bytes", .gauge, "Bytes of the spool on disk.", .count(spool.bytes))
        family(
            "tailrace_spool_maximum_bytes", .gauge, "Bytes that the spool may have on disk.", .count(spool.maximumBytes)
        )
        family("tailrace_spool_segments", .gauge, "Segments of the spool.", Value(spool.segments))
        family(
            "tailrace_spool_next_sequence_id", .gauge, "Sequence id that the next record gets.",
            .count(spool.nextSequence))
        family(
            "tailrace_spool_released_sequence_id", .gauge, "Lowest sequence id that an output still needs.",
            .count(spool.released))
        family(
            "tailrace_spool_unverified_records", .gauge, "Records from before the start that are still to be verified.",
            .count(spool.unverified))
        family(
            "tailrace_spool_quarantined_records_total", .counter, "Records lost to damage of the disk.",
            .count(spool.quarantinedRecords))
        family(
            "tailrace_spool_quarantined_bytes_total", .counter, "Bytes put aside as damaged.",
            .count(spool.quarantinedBytes))
        family("tailrace_spool_failing", .gauge, "1 while nothing can be appended.", Value(spool.failure != nil))
    }

    fileprivate mutating func add(_ inputs: [StatusReport.Input]) {
        func add(_ name: String, _ kind: Kind, _ help: String, _ value: (StatusReport.Input) -> Value) {
            family("tailrace_input_\(name)", kind, help, inputs.map { ([("input", $0.name)], value($0)) })
        }
        func add(_ name: String, _ help: String, reasons: (StatusReport.Input) -> [StatusReport.Drop]) {
            family(
                "tailrace_input_\(name)", .counter, help,
                inputs.flatMap { input in
                    reasons(input).map { ([("input", input.name), ("reason", $0.reason)], .count($0.records)) }
                })
        }
        add("records_total", .counter, "Records that existed.") { .count($0.existed) }
        add("bytes_total", .counter, "Bytes of the records that went into the spool.") { .count($0.bytes) }
        add("acknowledged_records_total", .counter, "Records that every output has settled.") {
            .count($0.acknowledged)
        }
        add("spooled_records", .gauge, "Records that wait in the spool.") { .count($0.spooled) }
        add("filtered_records_total", "Records that the input's patterns held back.") { $0.filters }
        add("dropped_records_total", "Records that were lost, or left out.") { $0.drops }
        add("redacted_records_total", .counter, "Records with something written over.") { .count($0.redacted) }
        add("undecided_records_total", .counter, "Records kept as a pattern reached its limits.") {
            .count($0.undecided)
        }
        add("notices_total", .counter, "Records of the agent's own that tell of losses.") { .count($0.notices) }
        add("unread_bytes", .gauge, "Bytes that are not read yet.") { .count($0.lagBytes) }
        add("sources", .gauge, "Files, journals and sockets that are known.") { Value($0.files) }
        add("unexplained_records", .gauge, "What the balance leaves unexplained: 0, or a bug.") {
            .signed($0.unexplained)
        }
    }

    /// What happened beside records, and how much there is, each in a family of its own: their sum would have no meaning. File
    /// inputs share one thread and one count.
    fileprivate mutating func addEvents(of inputs: [StatusReport.Input]) {
        let files = inputs.filter { $0.type == "file" }
        guard !files.isEmpty else { return }
        func sum(_ counts: (StatusReport.Input) -> [InputReport.Count]) -> [InputReport.Count] {
            files.flatMap(counts).reduce(into: []) { sums, count in
                if let index = sums.firstIndex(where: { $0.name == count.name }) {
                    sums[index].value &+= count.value
                } else {
                    sums.append(count)
                }
            }
        }
        family(
            "tailrace_tail_lost_bytes_total", .counter, "Bytes of files that were gone before they could be read.",
            .count(files.reduce(0) { $0 &+ $1.lostBytes }))
        for (counts, kind, ending) in [(sum { $0.events }, Kind.counter, "_total"), (sum { $0.levels }, .gauge, "")] {
            for count in counts {
                family(
                    "tailrace_tail_\(count.metricName)\(ending)", kind, "Of all file inputs: \(count.name).",
                    .count(count.value))
            }
        }
    }

    fileprivate mutating func add(_ outputs: [StatusReport.Output]) {
        func add(_ name: String, _ kind: Kind, _ help: String, _ value: (StatusReport.Output) -> Value) {
            family("tailrace_output_\(name)", kind, help, outputs.map { ([("output", $0.name)], value($0)) })
        }
        add("spooled_records_total", .counter, "Records that the spool ever took for it.") { .count($0.spooled) }
        add("acknowledged_records_total", .counter, "Records that its service has confirmed.") {
            .count($0.acknowledged)
        }
        add("in_flight_records", .gauge, "Records that were sent and are not confirmed yet.") { .count($0.inFlight) }
        add("waiting_records", .gauge, "Records that are not sent yet.") { .count($0.waiting) }
        add("dead_lettered_records_total", .counter, "Records that its service refused for good, kept aside.") {
            .count($0.deadLettered)
        }
        add("dropped_records_total", .counter, "Records lost to damage, or refused and impossible to keep.") {
            .count($0.dropped)
        }
        add("resent_batches_total", .counter, "Batches sent again because their outcome was unknown.") {
            .count($0.resent)
        }
        add("connected", .gauge, "1 while connected.") { Value($0.state == OutputHealth.connected) }
        add("unexplained_records", .gauge, "What the balance leaves unexplained: 0, or a bug.") {
            .signed($0.unexplained)
        }
        add("dead_letters", .gauge, "Records that were set aside and are there.") { .count($0.deadLetters.inArea) }
        add("dead_letters_replayed_total", .counter, "Records set aside that go out again.") {
            .count($0.deadLetters.replayed)
        }
        add("dead_letters_dropped_total", .counter, "Records set aside and dropped by hand.") {
            .count($0.deadLetters.dropped)
        }
        add("dead_letters_damaged_total", .counter, "Records set aside and damaged since.") {
            .count($0.deadLetters.lost)
        }
        addPartitions(of: outputs)
    }

    private mutating func addPartitions(of outputs: [StatusReport.Output]) {
        func add(_ name: String, _ kind: Kind, _ help: String, _ value: (StatusReport.Partition) -> Value) {
            family(
                "tailrace_output_partition_\(name)", kind, help,
                outputs.flatMap { output in
                    output.partitions.map { ([("output", output.name), ("partition", $0.id)], value($0)) }
                })
        }
        add("acknowledged_records_total", .counter, "Records confirmed since the output last connected.") {
            .count($0.acknowledgedRecords)
        }
        add("acknowledged_sequence_id", .gauge, "Last sequence id confirmed with everything before it; -1 before any.")
        {
            $0.lastAcknowledged.map { .count($0) } ?? .signed(-1)
        }
        add("slow", .gauge, "1 while the other partitions go on without it.") { Value($0.isSlow) }
        add("passed_over_records", .gauge, "Its records that the others went past.") { .count($0.passedOver) }
        add("troubled", .gauge, "1 while the last attempt to send has failed.") { Value($0.trouble != nil) }
    }
}

extension InputReport.Count {
    /// Its words as a metric's.
    fileprivate var metricName: String {
        String(name.lowercased().map { $0 == " " ? "_" : $0 })
    }
}
