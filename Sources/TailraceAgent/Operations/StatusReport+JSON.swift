internal import TailraceDelivery

extension StatusReport {
    /// One object, compact; the names are part of the command's contract.
    package var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("version", version)
            json.field("process", process)
            json.field("host", host)
            json.field("started", Timestamp.text(milliseconds: started))
            json.field("now", Timestamp.text(milliseconds: now))
            json.field("configuration") { configuration.write(to: &$0) }
            json.field("spool") { spool.write(to: &$0) }
            json.key("inputs")
            json.array(inputs) { json, input in json.object { input.write(to: &$0) } }
            json.key("outputs")
            json.array(outputs) { json, output in json.object { output.write(to: &$0) } }
        }
        return json.bytes
    }
}

extension ReloadHistory {
    fileprivate func write(to json: inout JSONText) {
        json.field("file", file)
        json.field("loaded", Timestamp.text(milliseconds: loaded))
        json.field("reloads", reloads)
        json.field("failed_reloads", failures)
        json.field("last_failure", failure)
        json.field("last_failure_time", failureTime.map { Timestamp.text(milliseconds: $0) })
        json.key("needs_restart")
        json.array(needsRestart) { json, text in json.value(text) }
    }
}

extension StatusReport.Spool {
    fileprivate func write(to json: inout JSONText) {
        json.field("directory", directory)
        json.field("next_sequence", nextSequence)
        json.field("committed", committed)
        json.field("released", released)
        json.field("carried_over", carriedOver)
        json.field("bytes", bytes)
        json.field("maximum_bytes", maximumBytes)
        json.field("segments", segments)
        json.field("unverified_records", unverified)
        json.field("quarantined_records", quarantinedRecords)
        json.field("quarantined_bytes", quarantinedBytes)
        json.field("failure", failure)
    }
}

extension StatusReport.Input {
    fileprivate func write(to json: inout JSONText) {
        json.field("name", name)
        json.field("type", type)
        json.field("removed", isRemoved)
        json.field("existed", existed)
        json.field("acknowledged", acknowledged)
        json.field("spooled", spooled)
        json.field("filtered", filtered)
        json.field("dropped", dropped)
        json.field("unexplained", unexplained)
        json.key("drops")
        json.array(drops) { json, drop in
            json.object {
                $0.field("reason", drop.reason)
                $0.field("records", drop.records)
            }
        }
        json.key("filters")
        json.array(filters) { json, filter in
            json.object {
                $0.field("reason", filter.reason)
                $0.field("records", filter.records)
            }
        }
        json.field("redacted", redacted)
        json.field("undecided", undecided)
        json.field("notices", notices)
        json.field("bytes", bytes)
        json.field("lost_bytes", lostBytes)
        json.field("events") { json in for event in events { json.field(event.name, event.value) } }
        json.field("levels") { json in for level in levels { json.field(level.name, level.value) } }
        json.field("lag_bytes", lagBytes)
        json.field("files", files)
        json.key("sources")
        json.array(sources) { json, source in
            json.object {
                $0.field("path", source.path)
                $0.field("condition", source.condition)
                $0.field("size", source.size)
                $0.field("offset", source.offset)
                $0.field("lag", source.lag)
            }
        }
    }
}

extension StatusReport.Output {
    fileprivate func write(to json: inout JSONText) {
        json.field("name", name)
        json.field("type", type)
        json.field("state", state)
        json.field("last_error", lastError)
        json.field("last_error_time", lastErrorTime.map { Timestamp.text(milliseconds: $0) })
        json.field("guarantee", guarantee)
        json.field("spooled", spooled)
        json.field("acknowledged", acknowledged)
        json.field("in_flight", inFlight)
        json.field("waiting", waiting)
        json.field("dead_lettered", deadLettered)
        json.field("dropped", dropped)
        json.field("resent_batches", resent)
        json.field("unexplained", unexplained)
        json.key("partitions")
        json.array(partitions) { json, partition in
            json.object { json in
                json.field("id", partition.id)
                if let last = partition.lastAcknowledged {
                    json.field("last_acknowledged", last)
                } else {
                    json.field("last_acknowledged", nil)
                }
                json.field("acknowledged", partition.acknowledgedRecords)
                json.field("trouble", partition.trouble)
                json.field("slow", partition.passedOver != nil)
                json.field("passed_over", partition.passedOver ?? 0)
            }
        }
        json.field("dead_letters") { (deadLetters ?? DeadLetterCounts()).write(to: &$0) }
    }
}

extension DeadLetterCounts {
    fileprivate func write(to json: inout JSONText) {
        json.field("at_start", carriedOver)
        json.field("kept", kept)
        json.field("in_area", inArea)
        json.field("replayed", replayed)
        json.field("dropped_by_hand", dropped)
        json.field("damaged", lost)
        json.field("unexplained", unexplained)
    }
}
