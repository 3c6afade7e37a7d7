import Glibc
internal import TailraceSpool

/// Files that were not known: what they are, and their place among the generations of their log.
extension FileTailEngine {
    func adopt(_ newcomer: Newcomer) {
        let status = newcomer.status
        guard files[status.identity] == nil else {
            // Two names of one new file.
            return
        }
        let position = takeSaved(status.identity) ?? takeLost(status.identity)
        let file = TailedFile(
            identity: status.identity, keyIdentity: position?.identity ?? status.identity,
            input: newcomer.input, age: status.age, directory: newcomer.directory, name: newcomer.name)
        let settings = inputs[file.input]
        let startsAtEnd =
            firstWalks.contains(settings.name) && settings.startAt == .end || isTooOld(status, settings)
        var label = newcomer.directory.path(of: newcomer.name)
        let original = rotationLabel(of: newcomer.name, in: newcomer.directory)
        if let position {
            file.load(position)
            file.check = .content
            label = position.label
        } else if let renamedFrom = newcomer.renamedFrom, !isYounger(status, than: renamedFrom) || original == nil {
            file.label = renamedFrom
            label = renamedFrom
            file.check = .start(atEnd: false)
        } else if let original {
            if isUnseenGeneration(of: original, status) {
                label = original
                file.label = original
                file.check = .copy(label: original, mustBeCopy: false, atEnd: false)
            } else {
                let matches = input(of: newcomer.name, in: newcomer.directory) != nil
                file.check = .copy(label: original, mustBeCopy: !matches, atEnd: startsAtEnd)
            }
        } else {
            file.check = .start(atEnd: startsAtEnd)
        }
        if position == nil {
            let isKnown = youngest[label] != nil || savedLabels[label] != nil
            file.seen = isKnown ? status.age : wallClockMilliseconds() * 1_000_000
        }
        file.size = status.size
        file.modifiedWhenFound = status.modified
        file.lastChange = Self.monotonic()
        adopted += 1
        files[status.identity] = file
        newcomer.directory.names[newcomer.name] = file
        if let label = file.candidateLabel { candidates[label, default: []].append(file) } else { place(file) }
        enqueue(file)
    }

    /// Gives the file its place among the generations of its log: it is read when those before it have been.
    func place(_ file: TailedFile) {
        let newest = youngest[file.label]
        defer { logger.debug("\(file.described): known now; \((youngest[file.label] ?? file).lineage)") }
        if let newest, file.isOlder(than: newest) {
            newest.insertPredecessor(file)
            return
        }
        if let newest { file.eldestBirth = min(file.eldestBirth, newest.eldestBirth) }
        file.predecessor = newest
        youngest[file.label] = file
    }

    private func takeSaved(_ identity: FileIdentity) -> FilePosition? {
        guard let position = savedPosition(of: identity) else { return nil }
        _ = takeSaved(position)
        return position
    }

    /// False when it is not among them.
    func takeSaved(_ position: FilePosition) -> Bool {
        let key = position.identity.withoutDevice
        guard let index = saved[key]?.firstIndex(of: position) else { return false }
        saved[key]?.remove(at: index)
        if saved[key]?.isEmpty == true {
            saved[key] = nil
            savedInodes.remove(key.inode)
        }
        return true
    }

    private func isTooOld(_ status: FileStatus, _ input: FileTailConfiguration) -> Bool {
        guard let limit = input.ignoreOlder else { return false }
        return wallClockMilliseconds() - status.modified / 1_000_000 > limit.nanoseconds / 1_000_000
    }

    /// The position of a file that we know under another device number and that has lost its name: its file system was
    /// mounted again. Whether it is that file, its content decides.
    private func takeLost(_ identity: FileIdentity) -> FilePosition? {
        guard let file = lost[identity.withoutDevice], file.identity.device != identity.device else { return nil }
        let position = file.position
        clearTrouble(file)
        discard(file)
        return position
    }

    /// Whether a file of this age was the log `label` after a generation that we know, and before the present one.
    private func isUnseenGeneration(of label: String, _ status: FileStatus) -> Bool {
        guard status.identity.birth != 0 else { return false }
        if let position = savedLabels[label], position.identity.birth < status.identity.birth,
            FileStatus(path: label)?.identity.withoutDevice != position.identity.withoutDevice
        {
            return true
        }
        guard let file = youngest[label], file.eldestBirth < status.identity.birth else { return false }
        if file.isRotated || status.identity.birth < file.identity.birth { return true }
        // The youngest that we know may have been renamed by an event that is still to come.
        return FileStatus(path: label)?.identity != file.identity
    }

    /// What was renamed is older than the file that has the log's name now. What is younger has come to its name since: it may
    /// be a copy.
    private func isYounger(_ status: FileStatus, than label: String) -> Bool {
        guard status.identity.birth != 0, let log = FileStatus(path: label) else { return false }
        return status.identity.birth > log.identity.birth
    }
}
