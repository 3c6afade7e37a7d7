internal import TailraceInputs

/// What a running agent does to go over from one configuration to another: a pure function of the two.
///
/// What is equal keeps running. What a part is made from counts as part of its settings, such as its certificates.
struct ReloadPlan: Equatable {
    /// What becomes of parts with names, each in one of the lists.
    struct Parts: Equatable {
        var kept: [String] = []
        var stopped: [String] = []
        /// Of the same name: the old one is stopped, the new one begun where that came to.
        var replaced: [String] = []
        var begun: [String] = []

        var isEmpty: Bool { stopped.isEmpty && replaced.isEmpty && begun.isEmpty }
        var changed: Int { stopped.count + replaced.count + begun.count }
    }

    /// The inputs that have a thread of their own: journals and syslog.
    var inputs: Parts
    /// The file inputs, which share one. None of those that stay the same is stopped for the others.
    var files: Parts
    /// Their order counts: a file that several match belongs to the first.
    var isFileOrderChanged: Bool
    var outputs: Parts
    /// Inputs that are new, or whose records are treated otherwise than before: filters and fields.
    var treated: [String]
    var isSpoolChanged: Bool
    var isMetricsChanged: Bool
    var isHostChanged: Bool
    /// What is different and stays as it was until the agent is started anew: where it is set, what it is, what it would be.
    var refused: [Refused]

    struct Refused: Equatable, CustomStringConvertible {
        var key: String
        var now: String
        var wanted: String
        var description: String { "\(key) stays \"\(now)\": \"\(wanted)\" needs a restart" }
    }

    init(from old: AgentConfiguration, to new: AgentConfiguration) {
        let change = Change(old: old, new: new)
        let isHostChanged = old.host != new.host
        self.isHostChanged = isHostChanged
        inputs = change.parts(old.inputs.filter { !$0.isFile }, new.inputs.filter { !$0.isFile }, \.name) {
            !isHostChanged && $0.name == $1.name && $0.kind == $1.kind && change.isUnmarked($0.files + $1.files)
        }
        let (oldFiles, newFiles) = (old.inputs.filter(\.isFile), new.inputs.filter(\.isFile))
        files = change.parts(oldFiles, newFiles, \.name) { $0.kind == $1.kind }
        let kept = Set(oldFiles.map(\.name)).intersection(newFiles.map(\.name))
        isFileOrderChanged = oldFiles.map(\.name).filter(kept.contains) != newFiles.map(\.name).filter(kept.contains)
        outputs = change.parts(old.outputs, new.outputs, \.name) {
            $0 == $1 && change.isUnmarked($0.files + $1.files)
        }
        treated = new.inputs.filter { input in
            guard let before = old.inputs.first(where: { $0.name == input.name }) else { return true }
            return before.filter != input.filter || before.fields != input.fields
        }.map(\.name)
        isSpoolChanged = old.spool != new.spool
        isMetricsChanged = old.metrics != new.metrics
        refused = []
        if old.stateDirectory != new.stateDirectory {
            refused.append(
                Refused(key: "[agent] state_directory", now: old.stateDirectory, wanted: new.stateDirectory))
        }
    }

    /// Nothing is to be done.
    var isEmpty: Bool {
        inputs.isEmpty && !changesFiles && outputs.isEmpty && treated.isEmpty && !isSpoolChanged && !isMetricsChanged
            && !isHostChanged
    }

    /// The thread that follows files has something else to do than before.
    var changesFiles: Bool { !files.isEmpty || isFileOrderChanged || isHostChanged && !files.kept.isEmpty }

    private struct Change {
        var old: AgentConfiguration
        var new: AgentConfiguration

        /// Whether these files are what they were.
        func isUnmarked(_ paths: [String]) -> Bool { paths.allSatisfy { old.marks[$0] == new.marks[$0] } }

        func parts<Settings>(
            _ old: [Settings], _ new: [Settings], _ name: (Settings) -> String, same: (Settings, Settings) -> Bool
        ) -> Parts {
            var parts = Parts()
            for settings in old where !new.contains(where: { name($0) == name(settings) }) {
                parts.stopped.append(name(settings))
            }
            for settings in new {
                guard let before = old.first(where: { name($0) == name(settings) }) else {
                    parts.begun.append(name(settings))
                    continue
                }
                if same(before, settings) {
                    parts.kept.append(name(settings))
                } else {
                    parts.replaced.append(name(settings))
                }
            }
            return parts
        }
    }
}

extension InputSettings {
    /// File inputs share one thread.
    var isFile: Bool { if case .file = kind { true } else { false } }
}
