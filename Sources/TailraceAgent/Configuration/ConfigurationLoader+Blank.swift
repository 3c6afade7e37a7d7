extension ConfigurationLoader {
    /// Whether the configuration is as an installation leaves it: of no output more is said than its type. Then there is
    /// nothing to run yet, and nothing wrong. What cannot be read or understood, or holds a slip, is not blank: `load` tells
    /// what is the matter.
    package static func isBlank(path: String) -> Bool {
        guard let root = table(ofConfigurationAt: path),
            root.entries.allSatisfy({ ["agent", "spool", "input", "output"].contains($0.key) })
        else { return false }
        guard let outputs = root["output"] else { return true }
        guard case .table(let outputs) = outputs.node.value else { return false }
        return outputs.entries.allSatisfy {
            guard case .table(let output) = $0.node.value else { return false }
            return output.entries.allSatisfy { $0.key == "type" }
        }
    }
}
