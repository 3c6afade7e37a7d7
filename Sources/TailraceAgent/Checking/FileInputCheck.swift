internal import TailraceInputs

/// Whether every file that matches can be read, by the user that asks.
enum FileInputCheck {
    /// - Parameter agent: that runs: what it may read counts, where this user may not.
    static func run(_ name: String, _ input: FileInputSettings, _ agent: RunningAgent?, _ findings: Findings) {
        let subject = "input \(name)"
        let walk = GlobWalk(
            include: input.include.compactMap { GlobPattern($0) }, exclude: input.exclude.map { ExcludePattern($0) })
        let place = input.include.joined(separator: ", ")
        let count = (walk.isComplete ? "" : "more than ") + counted(walk.files, "file")
        if walk.unreadable.isEmpty, walk.closed.isEmpty {
            if walk.files > 0 {
                findings.ok(subject, place, "\(count), all can be read by \(ProcessUser.name)")
            } else {
                findings.warning(
                    subject, place, "no file matches now", remedy: "right if they come later; otherwise correct include"
                )
            }
            return
        }
        if let agent, agent.readsEverything {
            return findings.ok(
                subject, place,
                "\(count); what the user \(ProcessUser.name) may not read, the agent that runs may"
                    + " (CAP_DAC_READ_SEARCH)")
        }
        for directory in walk.closed {
            findings.error(
                subject, directory, "the user \(ProcessUser.name) may not look into it",
                remedy: "give the agent's user r and x on it, or its group")
        }
        for path in walk.unreadable {
            let right = PathFacts(path: path).missingRight ?? "no right to read it: give the agent's user r on it"
            findings.error(subject, path, right.replacing(": ", with: "; "))
        }
        if walk.files > 0 {
            findings.warning(
                subject, place, "\(count), some of which the user \(ProcessUser.name) may not read",
                remedy: "the packaged unit has the right to read all files (CAP_DAC_READ_SEARCH)")
        }
    }
}
