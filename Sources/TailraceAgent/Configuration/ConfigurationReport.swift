internal import TailraceInputs

/// What `tailrace check` says about a valid configuration.
package enum ConfigurationReport {
    package static func text(_ configuration: AgentConfiguration) -> String {
        var lines = ["\(configuration.file): valid"] + configuration.dropIns.map { "    with \($0)" }
        lines.append("host: \(configuration.host)")
        let size = Quantity.describe(bytes: configuration.spool.maximumSize)
        lines.append("spool: \(configuration.stateDirectory), at most \(size), sync \(sync(configuration.spool.sync))")
        for input in configuration.inputs {
            switch input.kind {
            case .file(let settings): lines += text(input.name, settings)
            case .syslog(let settings): lines += text(input.name, settings)
            case .journal(let settings): lines += text(input.name, settings)
            }
            lines += records(input)
        }
        for output in configuration.outputs {
            switch output {
            case .eventHubs(let output):
                let host = output.identity?.namespace ?? output.connectionString?.reveal().host ?? ""
                lines.append("output \(output.name): hub \(output.eventHub) at \(host), key \(output.key.rawValue)")
            case .pulsar(let output):
                lines.append(
                    "output \(output.name): topic \(output.topic) at \(output.serviceURL), key \(output.key.rawValue),"
                        + " producer \(output.producerName)")
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func text(_ name: String, _ input: FileInputSettings) -> [String] {
        let walk = GlobWalk(
            include: input.include.compactMap { GlobPattern($0) }, exclude: input.exclude.map { ExcludePattern($0) })
        let count = (walk.isComplete ? "" : "more than ") + counted(walk.files, "file")
        let verb = walk.files == 1 ? "matches" : "match"
        return ["input \(name): \(input.include.joined(separator: ", ")): \(count) \(verb) now"]
            + walk.unreadable.map { "    cannot be read by this user: \($0)" }
    }

    /// Whether each place can be listened on, which it cannot while the agent runs.
    private static func text(_ name: String, _ input: SyslogInputSettings) -> [String] {
        var lines = ["input \(name): syslog, times without zone are those of \(input.zone)"]
        for address in input.listen {
            do throws(SyslogError) {
                var configuration = input.configuration(name: name)
                configuration.listen = [address]
                let listeners = try SyslogListeners.open(configuration)
                for socket in listeners.sockets {
                    let isLess = socket.kind == .datagrams && socket.receiveBuffer < input.receiveBuffer
                    lines.append(
                        "    \(address): free"
                            + (isLess
                                ? ", receive buffer \(socket.receiveBuffer) bytes of \(input.receiveBuffer): raise the"
                                    + " sysctl net.core.rmem_max" : ""))
                }
            } catch {
                lines.append("    \(error)")
            }
        }
        return lines
    }

    /// What becomes of the input's records.
    private static func records(_ input: InputSettings) -> [String] {
        var parts: [String] = []
        let filter = input.filter
        if !filter.keep.isEmpty { parts.append("kept when matched by \(counted(filter.keep.count, "pattern"))") }
        if !filter.drop.isEmpty { parts.append("dropped when matched by \(counted(filter.drop.count, "pattern"))") }
        if let sample = filter.sample { parts.append("a sample of \(sample)") }
        if !filter.redact.isEmpty { parts.append("redacted by \(counted(filter.redact.count, "rule"))") }
        if !input.fields.isEmpty { parts.append("with " + input.fields.map(\.key).joined(separator: ", ")) }
        return parts.isEmpty ? [] : ["    records: " + parts.joined(separator: "; ")]
    }

    private static func text(_ name: String, _ input: JournalConfiguration) -> [String] {
        var line = "input \(name): \(input.source), from \(input.start.rawValue)"
        if input.isFiltered {
            let filters =
                input.units + input.identifiers + (input.priority.isEmpty ? [] : [input.priority]) + input.matches
            line += ", only " + filters.joined(separator: ", ")
        }
        if case .troubled(let text) = JournalAccess.check(input) { return [line, "    \(text)"] }
        return [line]
    }

    private static func sync(_ sync: SpoolSettings.Sync) -> String {
        switch sync {
        case .always: "always"
        case .interval(let interval): "every \(interval)"
        case .never: "never"
        }
    }
}
