internal import Logging
internal import TailraceSpool

/// Files that are gone, and how long something is kept of them.
extension FileTailEngine {
    /// Forgets what has been missing for long, the oldest first when there are too many.
    func sweepMissing(_ now: Int64) {
        guard now >= nextMissingSweep else { return }
        nextMissingSweep = now + min(limits.rescanInterval.nanoseconds, max(limits.forgetAfter.nanoseconds, 10_000_000))
        let forgetAfter = limits.forgetAfter.nanoseconds
        var missing = files.values.filter { $0.missingSince != 0 }
        missing.sort { $0.missingSince < $1.missingSince }
        let surplus = missing.count - limits.maximumMissingFiles
        for (index, file) in missing.enumerated() where index < surplus || now - file.missingSince >= forgetAfter {
            if file.size > file.offset { statistics.lostBytes += file.size - file.offset }
            remove(file)
        }
        forgetPast(&abandoned, before: now - forgetAfter)
        forgetPast(&retired, before: now - forgetAfter)
        guard now - startTime >= forgetAfter, !saved.isEmpty else { return }
        for position in saved.values.joined() { forget(position) }
        saved = [:]
        savedInodes = []
        savedLabels = [:]
        savedElders = [:]
    }

    /// After so long a time neither a copy nor an archive comes any more.
    private func forgetPast(_ past: inout [String: [PastPosition]], before time: Int64) {
        for (label, entries) in past where entries.contains(where: { $0.since <= time }) {
            for entry in entries where entry.since <= time { forget(entry.position) }
            let rest = entries.filter { $0.since > time }
            past[label] = rest.isEmpty ? nil : rest
        }
    }

    /// The file has been read to its end and does not exist any more. Its position is kept for as long as one of an older
    /// generation of its log is: what is younger than a generation that we know, and unknown, counts as never read.
    func retire(_ file: TailedFile) {
        guard keepsOlder(than: file) else { return remove(file) }
        var past = retired[file.label] ?? []
        past.append(PastPosition(position: file.position, since: Self.monotonic()))
        if past.count > limits.maximumMissingFiles { forget(past.removeFirst().position) }
        retired[file.label] = past
        end(file)
    }

    private func keepsOlder(than file: TailedFile) -> Bool {
        let label = file.label
        return abandoned[label] != nil || retired[label] != nil
            || saved.values.joined().contains { $0.label == label }
            || files.values.contains { $0 !== file && $0.label == label && $0.order < file.order }
    }

    /// The file does not exist any more: nothing is kept of it.
    func remove(_ file: TailedFile) {
        forget(file.position)
        end(file)
    }

    func end(_ file: TailedFile) {
        clearTrouble(file)
        leaveTables(file)
        file.predecessor = nil
        file.missingSince = 0
        file.isUnlinked = true
        file.isRemoved = true
    }

    /// Closes the file and takes it out of every table that names it.
    func leaveTables(_ file: TailedFile) {
        withdraw(file)
        file.closeDescriptor()
        openFiles.remove(file)
        if files[file.identity] === file { files[file.identity] = nil }
        if lost[file.identity.withoutDevice] === file { lost[file.identity.withoutDevice] = nil }
        if let directory = file.directory, directory.names[file.name] === file { directory.names[file.name] = nil }
        if youngest[file.label] === file { youngest[file.label] = nil }
        file.directory = nil
    }
}
