internal import TailraceDelivery
internal import TailraceInputs
internal import Transports

extension StatusReport {
    /// Of the JSON: raised when a member goes, or means something else; not when one is added. All are in tailrace(8).
    package static let format: Int64 = 1

    /// One object, compact.
    package var json: [UInt8] {
        var json = JSONText()
        json.object(write)
        return json.bytes
    }

    /// What another process wrote as `json`; nil: it is nothing of the kind, or of a later format.
    package init?(json bytes: [UInt8]) {
        guard let json = try? JSONValue(bytes), let format = json["format"]?.integer, (1...Self.format).contains(format)
        else { return nil }
        self.init(json)
    }
}

extension StatusReport: JSONObject {
    static let members: [JSONMember<Self>] = [
        .derived("format") { _ in format },
        .text("version", \.version), .number("process", \.process), .text("host", \.host),
        .time("started", \.started), .time("now", \.now),
        .texts("blocked", \.blocked),
        .object("configuration", \.configuration), .object("spool", \.spool),
        .objects("inputs", \.inputs), .objects("outputs", \.outputs),
    ]
}

extension ReloadHistory: JSONObject {
    init() { self.init(loaded: 0) }

    static let members: [JSONMember<Self>] = [
        .text("file", \.file), .time("loaded", \.loaded),
        .number("reloads", \.reloads), .number("failed_reloads", \.failures),
        .text("last_failure", \.failure), .time("last_failure_time", \.failureTime),
        .texts("needs_restart", \.needsRestart),
    ]
}

extension StatusReport.Spool: JSONObject {
    static let members: [JSONMember<Self>] = [
        .text("directory", \.directory),
        .number("next_sequence", \.nextSequence), .number("committed", \.committed), .number("released", \.released),
        .number("carried_over", \.carriedOver),
        .number("bytes", \.bytes), .number("maximum_bytes", \.maximumBytes), .number("segments", \.segments),
        .number("unverified_records", \.unverified),
        .number("quarantined_records", \.quarantinedRecords), .number("quarantined_bytes", \.quarantinedBytes),
        .text("failure", \.failure),
    ]
}

extension StatusReport.Input: JSONObject {
    static let members: [JSONMember<Self>] = [
        .text("name", \.name), .text("type", \.type), .truth("removed", \.isRemoved),
        .number("existed", \.existed), .number("acknowledged", \.acknowledged), .number("spooled", \.spooled),
        .derived("filtered") { $0.filtered }, .derived("dropped") { $0.dropped },
        .derived("unexplained") { $0.unexplained },
        .objects("drops", \.drops), .objects("filters", \.filters),
        .number("redacted", \.redacted), .number("undecided", \.undecided), .number("notices", \.notices),
        .number("bytes", \.bytes), .number("lost_bytes", \.lostBytes),
        .objects("events", \.events), .objects("levels", \.levels),
        .number("lag_bytes", \.lagBytes), .number("files", \.files), .objects("sources", \.sources),
    ]
}

extension StatusReport.Drop: JSONObject {
    init() { self.init(reason: "", records: 0) }

    static let members: [JSONMember<Self>] = [.text("reason", \.reason), .number("records", \.records)]
}

extension InputReport.Count: JSONObject {
    init() { self.init("", 0) }

    static let members: [JSONMember<Self>] = [.text("name", \.name), .number("value", \.value)]
}

extension StatusReport.Source: JSONObject {
    static let members: [JSONMember<Self>] = [
        .text("path", \.path), .text("condition", \.condition),
        .number("size", \.size), .number("offset", \.offset), .derived("lag") { $0.lag },
    ]
}

extension StatusReport.Output: JSONObject {
    static let members: [JSONMember<Self>] = [
        .text("name", \.name), .text("type", \.type), .text("state", \.state),
        .text("last_error", \.lastError), .time("last_error_time", \.lastErrorTime), .text("guarantee", \.guarantee),
        .number("spooled", \.spooled), .number("acknowledged", \.acknowledged), .number("in_flight", \.inFlight),
        .number("waiting", \.waiting), .number("dead_lettered", \.deadLettered), .number("dropped", \.dropped),
        .number("resent_batches", \.resent), .derived("unexplained") { $0.unexplained },
        .objects("partitions", \.partitions), .object("dead_letters", \.deadLetters),
    ]
}

extension StatusReport.Partition: JSONObject {
    static let members: [JSONMember<Self>] = [
        .text("id", \.id), .number("last_acknowledged", \.lastAcknowledged),
        .number("acknowledged", \.acknowledgedRecords), .text("trouble", \.trouble),
        .truth("slow", \.isSlow), .number("passed_over", \.passedOver),
    ]
}

extension DeadLetterCounts: JSONObject {
    static let members: [JSONMember<Self>] = [
        .number("at_start", \.carriedOver), .number("kept", \.kept), .number("in_area", \.inArea),
        .number("replayed", \.replayed), .number("dropped_by_hand", \.dropped), .number("damaged", \.lost),
        .derived("unexplained") { $0.unexplained },
    ]
}
