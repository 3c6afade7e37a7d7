/// What `tailrace check` says about a valid configuration.
package enum ConfigurationReport {
    package static func text(_ configuration: AgentConfiguration) -> String {
        var lines = ["\(configuration.file): valid"]
        lines.append("host: \(configuration.host)")
        let size = Quantity.describe(bytes: configuration.spool.maximumSize)
        lines.append("spool: \(configuration.stateDirectory), at most \(size), sync \(sync(configuration.spool.sync))")
        for input in configuration.inputs {
            lines.append("input \(input.name): \(input.include.joined(separator: ", "))")
        }
        for output in configuration.outputs {
            lines.append("output \(output.name): key \(output.key.rawValue)")
        }
        return lines.joined(separator: "\n")
    }

    private static func sync(_ sync: SpoolSettings.Sync) -> String {
        switch sync {
        case .always: "always"
        case .interval(let interval): "every \(interval)"
        case .never: "never"
        }
    }
}
