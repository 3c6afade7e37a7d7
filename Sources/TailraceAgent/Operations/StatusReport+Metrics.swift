internal import TailraceDelivery
internal import TailraceInputs

extension StatusReport {
    /// The numbers in Prometheus' text format. One series per input, output and partition, none per file: their number
    /// has no limit.
    package var metrics: [UInt8] {
        var text = MetricsText()
        text.family("tailrace_spool_bytes", "gauge", "Bytes of the spool on disk.", [([], spool.bytes)])
        text.family(
            "tailrace_spool_maximum_bytes", "gauge", "Bytes that the spool may have.", [([], spool.maximumBytes)])
        text.family(
            "tailrace_spool_next_sequence", "counter", "Sequence id that the next record gets.",
            [([], spool.nextSequence)])
        text.family(
            "tailrace_spool_unverified_records", "gauge",
            "Records from before the start that are still to be verified.",
            [([], spool.unverified)])
        text.family(
            "tailrace_spool_quarantined_records_total", "counter", "Records lost to damage of the disk.",
            [([], spool.quarantinedRecords)])
        text.family(
            "tailrace_spool_failing", "gauge", "1 while nothing can be appended.", [([], spool.failure == nil ? 0 : 1)])
        text.family(
            "tailrace_reloads_total", "counter", "Configurations that were loaded while the agent ran.",
            [([], configuration.reloads)])
        text.family(
            "tailrace_failed_reloads_total", "counter", "Configurations that were refused while the agent ran.",
            [([], configuration.failures)])
        text.family(
            "tailrace_reload_failed", "gauge", "1 when the last configuration was refused.",
            [([], configuration.failure == nil ? 0 : 1)])
        func perInput(_ name: String, _ type: String, _ help: String, _ value: (Input) -> UInt64) {
            text.family(name, type, help, inputs.map { ([("input", $0.name)], value($0)) })
        }
        perInput("tailrace_input_records_total", "counter", "Records read.") { $0.existed }
        perInput("tailrace_input_bytes_total", "counter", "Bytes of the records read.") { $0.bytes }
        perInput("tailrace_input_acknowledged_total", "counter", "Records that every output has.") { $0.acknowledged }
        perInput("tailrace_input_spooled", "gauge", "Records that wait in the spool.") { $0.spooled }
        text.family(
            "tailrace_input_dropped_total", "counter", "Records dropped.",
            inputs.flatMap { input in
                input.drops.map { ([("input", input.name), ("reason", $0.reason)], $0.records) }
            })
        text.family(
            "tailrace_input_filtered_total", "counter", "Records filtered.",
            inputs.flatMap { input in
                input.filters.map { ([("input", input.name), ("reason", $0.reason)], $0.records) }
            })
        perInput("tailrace_input_notices_total", "counter", "Records of the agent's own that tell of losses.") {
            $0.notices
        }
        perInput("tailrace_input_redacted_total", "counter", "Records with something written over.") { $0.redacted }
        perInput("tailrace_input_undecided_total", "counter", "Records kept as a pattern reached its limits.") {
            $0.undecided
        }
        perInput("tailrace_input_lost_bytes_total", "counter", "Bytes gone before they could be read.") { $0.lostBytes }
        perInput("tailrace_input_lag_bytes", "gauge", "Bytes not read yet.") { $0.lagBytes }
        perInput("tailrace_input_files", "gauge", "Files known.") { UInt64(max(0, $0.files)) }
        func counts(_ name: String, _ type: String, _ help: String, _ counts: (Input) -> [InputReport.Count]) {
            text.family(
                name, type, help,
                inputs.flatMap { input in
                    counts(input).map { ([("input", input.name), ("what", $0.name)], $0.value) }
                })
        }
        counts("tailrace_input_events_total", "counter", "What happened beside reading; all file inputs together.") {
            $0.events
        }
        counts("tailrace_input_level", "gauge", "How much there is of it now; all file inputs together.") { $0.levels }
        func perOutput(_ name: String, _ type: String, _ help: String, _ value: (Output) -> UInt64) {
            text.family(name, type, help, outputs.map { ([("output", $0.name)], value($0)) })
        }
        perOutput("tailrace_output_acknowledged_total", "counter", "Records acknowledged.") { $0.acknowledged }
        perOutput("tailrace_output_in_flight", "gauge", "Records sent and not acknowledged.") { $0.inFlight }
        perOutput("tailrace_output_waiting", "gauge", "Records not sent yet.") { $0.waiting }
        perOutput("tailrace_output_dead_lettered_total", "counter", "Records set aside.") { $0.deadLettered }
        perOutput("tailrace_output_dead_letters", "gauge", "Records that were set aside and are there.") {
            $0.deadLetters?.inArea ?? 0
        }
        perOutput("tailrace_output_dead_letters_replayed_total", "counter", "Records set aside that go out again.") {
            $0.deadLetters?.replayed ?? 0
        }
        perOutput("tailrace_output_dead_letters_dropped_total", "counter", "Records set aside and dropped by hand.") {
            $0.deadLetters?.dropped ?? 0
        }
        perOutput("tailrace_output_connected", "gauge", "1 while connected.") { $0.state == "connected" ? 1 : 0 }
        text.family(
            "tailrace_output_partition_last_acknowledged", "gauge", "Last acknowledged sequence id.",
            outputs.flatMap { output in
                output.partitions.compactMap { partition in
                    partition.lastAcknowledged.map {
                        ([("output", output.name), ("partition", partition.id)], $0)
                    }
                }
            })
        text.family(
            "tailrace_output_partition_passed_over", "gauge",
            "Records of a slow partition that the others went past; no series while it keeps up.",
            outputs.flatMap { output in
                output.partitions.compactMap { partition in
                    partition.passedOver.map { ([("output", output.name), ("partition", partition.id)], $0) }
                }
            })
        return text.bytes
    }
}

/// Writes Prometheus' text format, version 0.0.4.
private struct MetricsText {
    private(set) var bytes: [UInt8] = []

    mutating func family(
        _ name: String, _ type: String, _ help: String, _ samples: [(labels: [(String, String)], value: UInt64)]
    ) {
        guard !samples.isEmpty else { return }
        append("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n")
        for sample in samples {
            append(name)
            if !sample.labels.isEmpty {
                append("{")
                for (index, label) in sample.labels.enumerated() {
                    append("\(index > 0 ? "," : "")\(label.0)=\"")
                    appendEscaped(label.1)
                    append("\"")
                }
                append("}")
            }
            append(" \(sample.value)\n")
        }
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func appendEscaped(_ text: String) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"): append("\\n")
            default: bytes.append(byte)
            }
        }
    }
}
