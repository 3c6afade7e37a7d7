/// What `tailrace top` shows, as lines of a terminal: no IO, and the same for the same history and size.
package struct TopScreen: Sendable {
    package var columns: Int
    package var rows: Int
    /// Lines of inputs and outputs that are above the screen.
    package var scroll = 0

    package init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
    }

    /// As many lines as there are rows, none longer than the columns.
    ///
    /// - Parameter trouble: why the agent does not answer; the last that it said is still shown.
    package mutating func lines(_ history: TopHistory, trouble: String? = nil) -> [String] {
        guard let sample = history.latest else {
            return fit([trouble ?? "asking the agent…"], [])
        }
        let started = Timestamp.text(milliseconds: sample.started).prefix(19)
        let now = Timestamp.text(milliseconds: sample.now).dropFirst(11).prefix(8)
        var head = ["tailrace \(sample.version) on \(sample.host), since \(started)Z, now \(now)Z"]
        head.append(spool(sample))
        if let failure = sample.spool.failure { head.append("NOT WRITING: \(failure)") }
        for blockage in sample.blocked { head.append("BLOCKED \(blockage)") }
        if !sample.closes { head.append("THE BALANCE DOES NOT CLOSE: tailrace status tells where") }
        if let trouble { head.append("NO ANSWER: \(trouble)") }
        var body = [""] + inputs(sample, history)
        for index in sample.outputs.indices { body += [""] + output(index, sample, history) }
        return fit(head, body)
    }

    private mutating func fit(_ head: [String], _ body: [String]) -> [String] {
        let room = max(0, rows - head.count - 1)
        scroll = max(0, min(scroll, body.count - room))
        var lines = head + body.dropFirst(scroll).prefix(room)
        while lines.count < rows - 1 { lines.append("") }
        let more = body.count - room > scroll ? "  ↓ more" : ""
        lines = Array(lines.prefix(max(0, rows - 1)))
        lines.append("q ends, ↑ ↓ scroll\(more)")
        return lines.suffix(rows).map { cut($0, columns) }
    }

    /// Control characters cannot come through: names and errors are from elsewhere.
    private func cut(_ text: String, _ width: Int) -> String {
        let clean = text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : Character($0) }
        if clean.count <= width { return String(clean) }
        return width > 1 ? String(clean.prefix(width - 1)) + "…" : String(clean.prefix(max(0, width)))
    }

    // MARK: - Parts

    private func spool(_ sample: StatusReport) -> String {
        let spool = sample.spool
        let share = spool.maximumBytes > 0 ? Double(spool.bytes) / Double(spool.maximumBytes) : 0
        let width = max(10, min(30, columns - 50))
        let filled = min(width, Int((share * Double(width)).rounded()))
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled)
        return
            "spool [\(bar)] \(Quantity.describe(bytes: spool.bytes)) of \(Quantity.describe(bytes: spool.maximumBytes)), "
            + "\(Int(share * 100)) %"
    }

    private func inputs(_ sample: StatusReport, _ history: TopHistory) -> [String] {
        // Names take what the figures leave.
        let name = max(8, columns - 60)
        var lines = [row(name, ["INPUT", "RECORDS/S", "BYTES/S", "UNREAD", "FILES", "FILTERED", "DROPPED"])]
        for (index, input) in sample.inputs.enumerated() {
            let records = history.rate { $0.inputs.indices.contains(index) ? $0.inputs[index].existed : nil }
            let bytes = history.rate { $0.inputs.indices.contains(index) ? $0.inputs[index].bytes : nil }
            lines.append(
                row(
                    name,
                    [
                        "\(input.name) (\(input.type))", Self.short(records), Self.short(bytes),
                        Self.short(Double(input.lagBytes)), "\(input.files)", Self.short(Double(input.filtered)),
                        Self.short(Double(input.dropped)),
                    ]))
        }
        return lines
    }

    private func output(_ index: Int, _ sample: StatusReport, _ history: TopHistory) -> [String] {
        let output = sample.outputs[index]
        let rate = history.rate { $0.outputs.indices.contains(index) ? $0.outputs[index].acknowledged : nil }
        var lines = ["OUTPUT \(output.name) (\(output.type)): \(output.state)"]
        var figures =
            "  acknowledged \(Self.short(rate))/s, in flight \(Self.short(Double(output.inFlight))), waiting "
            + "\(Self.short(Double(output.waiting))), dead letters \(Self.short(Double(output.deadLettered)))"
        switch history.forecast(index) {
        case .empty(let seconds)?: figures += "; empty in \(Self.period(seconds))"
        case .full(let seconds)?: figures += "; FULL IN \(Self.period(seconds))"
        case .steady?: figures += "; backlog steady"
        case nil: break
        }
        lines.append(figures)
        if let error = output.lastError, output.state != OutputHealth.connected { lines.append("  \(error)") }
        lines.append(row(12, ["  PARTITION", "RECORDS/S", "LAST ID"]) + "  STATE")
        for (place, partition) in output.partitions.enumerated() {
            let rate = history.rate { sample in
                guard sample.outputs.indices.contains(index), sample.outputs[index].partitions.indices.contains(place)
                else { return nil }
                return sample.outputs[index].partitions[place].acknowledgedRecords
            }
            let state = partition.trouble ?? (partition.isSlow ? "slow: the others go past it" : "well")
            lines.append(
                row(12, ["  \(partition.id)", Self.short(rate), partition.lastAcknowledged.map { "\($0)" } ?? "none"])
                    + "  \(state)")
        }
        return lines
    }

    /// The first column to the left, the others to the right.
    private func row(_ first: Int, _ cells: [String]) -> String {
        let width = cells.count > 4 ? [10, 9, 9, 7, 9, 9] : [11, 20]
        var line = cut(cells[0], first)
        line += String(repeating: " ", count: first - line.count)
        for (cell, width) in zip(cells.dropFirst(), width) {
            line += String(repeating: " ", count: max(1, width - cell.count)) + cell
        }
        return line
    }

    // MARK: - Figures

    /// Five characters at most: `0`, `12`, `1.2k`, `345k`, `6.7M`; `-` while nothing is known.
    static func short(_ value: Double?) -> String {
        guard let value else { return "-" }
        guard value >= 999.5 else {
            return value > 0 && value < 9.95 && value.rounded() != value ? tenths(value) : "\(Int(value.rounded()))"
        }
        var rest = value
        for unit in ["k", "M", "G", "T", "P"] {
            rest /= 1000
            if rest < 9.95 { return tenths(rest) + unit }
            if rest < 999.5 { return "\(Int(rest.rounded()))\(unit)" }
        }
        return "lots"
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// `5 s`, `3 min`, `4 h 10 min`, `2 d 3 h`.
    static func period(_ seconds: Double) -> String {
        guard seconds < 100 * 365 * 86_400 else { return "more than a century" }
        let seconds = Int(seconds.rounded(.up))
        if seconds < 100 { return "\(seconds) s" }
        if seconds < 3600 { return "\(seconds / 60) min" }
        if seconds < 86_400 { return "\(seconds / 3600) h \(seconds % 3600 / 60) min" }
        return "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h"
    }
}
