internal import TailraceInputs

/// Whether every file that matches can be read, by the user that asks.
enum FileInputCheck {
    static func run(_ name: String, _ input: FileInputSettings, _ findings: Findings) {
        let subject = "input \(name)"
        let walk = GlobWalk(
            include: input.include.compactMap { GlobPattern($0) }, exclude: input.exclude.map { ExcludePattern($0) })
        for directory in walk.closed.prefix(Findings.limit) {
            findings.error(
                subject, directory, "the user \(ProcessUser.name) may not look into it",
                remedy: "give the agent's user r and x on it, or its group")
        }
        for path in walk.unreadable.prefix(Findings.limit) {
            let right = PathFacts(path: path).missingRight ?? "no right to read it: give the agent's user r on it"
            findings.error(subject, path, right.replacing(": ", with: "; "))
        }
        let place = input.include.joined(separator: ", ")
        let count = (walk.isComplete ? "" : "more than ") + counted(walk.files, "file")
        if walk.files == 0, walk.closed.isEmpty {
            findings.warning(
                subject, place, "no file matches now", remedy: "right if they come later; otherwise correct include")
        } else if walk.unreadable.isEmpty, walk.closed.isEmpty {
            findings.ok(subject, place, "\(count), all can be read by \(ProcessUser.name)")
        } else if walk.files > 0 {
            findings.warning(
                subject, place, "\(count), some of which the user \(ProcessUser.name) may not read",
                remedy: "the packaged unit has the right to read all files (CAP_DAC_READ_SEARCH)")
        }
    }
}
