internal import Transports

/// What `tailrace top` shows, at one moment, as the agent's JSON tells it.
package struct TopSample: Equatable, Sendable {
    package struct Input: Equatable, Sendable {
        package var name = ""
        package var type = ""
        package var existed: Int64 = 0
        package var bytes: Int64 = 0
        package var lagBytes: Int64 = 0
        package var filtered: Int64 = 0
        package var dropped: Int64 = 0
        package var files: Int64 = 0
    }

    package struct Partition: Equatable, Sendable {
        package var id = ""
        package var lastAcknowledged: Int64?
        /// Since its output last connected.
        package var acknowledged: Int64 = 0
        package var trouble: String?
        package var isSlow = false
    }

    package struct Output: Equatable, Sendable {
        package var name = ""
        package var type = ""
        package var state = ""
        package var lastError: String?
        package var spooled: Int64 = 0
        package var acknowledged: Int64 = 0
        package var inFlight: Int64 = 0
        package var waiting: Int64 = 0
        package var deadLettered: Int64 = 0
        package var dropped: Int64 = 0
        package var partitions: [Partition] = []

        package var backlog: Int64 { inFlight + waiting }
    }

    /// Nanoseconds of a clock that never goes back.
    package var instant: Int64 = 0
    package var version = ""
    package var host = ""
    /// As the agent writes them.
    package var started = ""
    package var now = ""
    package var spoolBytes: Int64 = 0
    package var spoolMaximum: Int64 = 0
    package var failure: String?
    package var unexplained: Int64 = 0
    package var inputs: [Input] = []
    package var outputs: [Output] = []

    package init() {}

    /// Nil: that is no status of an agent.
    ///
    /// - Parameter instant: when it was asked for.
    package init?(json bytes: [UInt8], instant: Int64) {
        guard let json = try? JSONValue(bytes), let spool = json["spool"] else { return nil }
        self.instant = instant
        version = json["version"]?.text ?? ""
        host = json["host"]?.text ?? ""
        started = json["started"]?.text ?? ""
        now = json["now"]?.text ?? ""
        spoolBytes = spool["bytes"]?.integer ?? 0
        spoolMaximum = spool["maximum_bytes"]?.integer ?? 0
        failure = spool["failure"]?.text
        inputs = json.list("inputs").map { input in
            unexplained += abs(input["unexplained"]?.integer ?? 0)
            return Input(
                name: input["name"]?.text ?? "", type: input["type"]?.text ?? "", existed: input.count("existed"),
                bytes: input.count("bytes"), lagBytes: input.count("lag_bytes"), filtered: input.count("filtered"),
                dropped: input.count("dropped"), files: input.count("files"))
        }
        outputs = json.list("outputs").map { output in
            unexplained += abs(output["unexplained"]?.integer ?? 0)
            return Output(
                name: output["name"]?.text ?? "", type: output["type"]?.text ?? "", state: output["state"]?.text ?? "",
                lastError: output["last_error"]?.text, spooled: output.count("spooled"),
                acknowledged: output.count("acknowledged"), inFlight: output.count("in_flight"),
                waiting: output.count("waiting"), deadLettered: output.count("dead_lettered"),
                dropped: output.count("dropped"),
                partitions: output.list("partitions").map { partition in
                    Partition(
                        id: partition["id"]?.text ?? "", lastAcknowledged: partition["last_acknowledged"]?.integer,
                        acknowledged: partition.count("acknowledged"), trouble: partition["trouble"]?.text,
                        isSlow: partition["slow"] == .boolean(true))
                })
        }
    }
}

extension JSONValue {
    fileprivate func count(_ key: String) -> Int64 { self[key]?.integer ?? 0 }
    fileprivate func list(_ key: String) -> [JSONValue] {
        if case .array(let elements)? = self[key] { elements } else { [] }
    }
}
