import Glibc
internal import Logging
internal import TailraceSpool

/// Rotations that copy the log and then truncate it.
///
/// What the log was when it was truncated stays stored until its copy is found: the agent may end in between. A file that
/// looks like a rotation of a log and that nobody knows is a candidate: it has no place among the log's generations until it
/// is settled what it is. That is done before anything of a new generation is read, for what a copy has comes first.
extension FileTailEngine {
    /// Truncations of one log whose copy has not been found; the oldest are forgotten first.
    static let maximumAbandoned = 8
    static let maximumStrangers = 10_000

    // MARK: - What logs were

    /// The content up to this position is gone from the log: a copy of it may turn up, also after a restart.
    func abandon(_ position: FilePosition) {
        guard position.offset > 0, !position.isCopy else { return forget(position) }
        var past = abandoned[position.label] ?? []
        past.removeAll { $0.position.key == position.key }
        past.append(PastPosition(position: position, since: Self.monotonic()))
        past.sort {
            ($0.position.identity.birth, $0.position.generation) < ($1.position.identity.birth, $1.position.generation)
        }
        while past.count > Self.maximumAbandoned { forget(past.removeFirst().position) }
        abandoned[position.label] = past
    }

    /// False when it is not among them.
    func takeAbandoned(_ position: FilePosition) -> Bool {
        guard let index = abandoned[position.label]?.firstIndex(where: { $0.position == position }) else {
            return false
        }
        abandoned[position.label]?.remove(at: index)
        if abandoned[position.label]?.isEmpty == true { abandoned[position.label] = nil }
        return true
    }

    // MARK: - Candidates

    /// The candidates of a log of which something new is going to be read. A copy is made before the log is truncated: so
    /// events that tell of it are there by now.
    func lookForCopies(of label: String) {
        var passes = 0
        repeat {
            while readEvents(), passes < 1000 { passes += 1 }
            settleCopies(of: label)
            passes += 1
        } while findMovedCandidates() && passes < 1000
    }

    /// Looks for the candidates, and logs, that had moved on when they were to be looked into: the events that tell where may be
    /// still to come. False when there were none.
    private func findMovedCandidates() -> Bool {
        let directories = vacated
        vacated = []
        for directory in directories { scan(directory) }
        settleTouched()
        return !directories.isEmpty
    }

    /// Decides about the files that may be copies of the log, all together: what one of them is tells of the others.
    func settleCopies(of label: String) {
        guard let found = candidates[label], found.contains(where: lookAtCandidate) else { return }
        var logs = generations(of: label)
        // A truncation that nobody has noticed yet is noticed now; then the copy is finished.
        for log in logs { lookAgain(log) }
        let files = found.filter { $0.candidateLabel != nil && lookAtCandidate($0) }
            .sorted {
                $0.identity.birth != $1.identity.birth
                    ? $0.identity.birth < $1.identity.birth : $0.isOlderByName(than: $1)
            }
        for file in files {
            if let (position, copy) = proof(file, of: label) { settle(file, as: copy, of: position, logs) }
        }
        for file in files where file.candidateLabel != nil { settleUnproven(file, of: label, &logs) }
    }

    /// Those that may have been truncated, or are not read to their end. What was rotated, read and closed tells of a change.
    private func generations(of label: String) -> [TailedFile] {
        files.values.filter {
            $0.label == label && !$0.isCopy && !$0.isArchive && $0.candidateLabel == nil
                && (!$0.isRotated || $0.descriptor >= 0 || $0.modified == 0 || $0.size > $0.offset)
        }
    }

    /// The log is read later; here it is only noted what it is.
    private func lookAgain(_ log: TailedFile) {
        guard !log.isRemoved, log.descriptor >= 0 || log.directory != nil else { return }
        let (size, modified) = (log.size, log.modified)
        let generation = log.generation
        // Where there is more than was read it may be a truncated log that has grown past that.
        if lookAt(log) == nil, log.offset > 0, !log.contentMatches(log.position) {
            _ = restart(log, because: "the bytes before offset \(log.offset) are not those that were read there")
        }
        if log.size != size || log.modified != modified || log.generation != generation { enqueue(log) }
    }

    /// False when there is nothing in it, or it is not to be had.
    private func lookAtCandidate(_ file: TailedFile) -> Bool {
        guard file.descriptor >= 0 || open(file), let status = FileStatus(descriptor: file.descriptor) else {
            return false
        }
        update(file, status)
        if file.encoding == nil { recogniseEncoding(file) }
        return file.size > 0
    }

    /// What the file is a copy of, by its content: of several, that of which it has most.
    private func proof(_ file: TailedFile, of label: String) -> (FilePosition, FilePosition.Copy)? {
        guard file.descriptor >= 0 || open(file) else { return nil }
        var positions = abandoned[label, default: []].map(\.position)
        positions += saved.values.joined().filter { $0.label == label && !$0.isCopy }
        var best: (FilePosition, FilePosition.Copy)?
        for position in positions {
            let copy = position.copy(ofSize: file.size) { ContentHash(of: file.descriptor, from: $0, length: $1) }
            if let copy, copy.proven > best?.1.proven ?? 0 { best = (position, copy) }
        }
        return best
    }

    private func settle(
        _ file: TailedFile, as copy: FilePosition.Copy, of position: FilePosition, _ logs: [TailedFile]
    ) {
        let log = position.identity
        join(file, position.label, logBirth: log.birth, logInode: log.inode, offset: copy.offset)
        // Behind the position of the copy: a crash between the two must not make the copy look new.
        guard takeAbandoned(position) else { return }
        forget(position)
        for log in logs where log.keyIdentity == position.identity && log.generation == position.generation &+ 1 {
            // What was there before the copy is none of what came after it.
            guard log.offset == 0, log.seen < file.identity.birth else { continue }
            log.seen = file.identity.birth
            note(log.position)
        }
    }

    /// It is a copy of nothing that is known to be gone.
    ///
    /// - Parameter logs: When the file is a generation of its own, one of them from then on: what comes after it may be its copy.
    private func settleUnproven(_ file: TailedFile, of label: String, _ logs: inout [TailedFile]) {
        guard case .copy(_, let mustBeCopy, let atEnd) = file.check else { return }
        for log in logs where !log.isRemoved {
            let generation = log.generation
            lookAgain(log)
            if isToBeFound(log) {
                enqueue(file)
                return
            }
            if isHeld(file, in: log) {
                // The log still has all of it, and is going to be truncated; or it was only copied.
                if log.offset >= file.size, Self.monotonic() - file.lastChange >= limits.finalAfter.nanoseconds {
                    join(
                        file, label, logBirth: log.order.log, logInode: log.keyIdentity.inode, offset: file.size)
                } else {
                    wait(file, limits.finalAfter.nanoseconds)
                }
                return
            }
            lookAgain(log)
            // It has just been truncated: then all has been settled anew.
            if file.candidateLabel == nil || file.isRemoved || log.generation != generation { return }
            if log.trouble != 0 {
                wait(file, limits.pollInterval.nanoseconds)
                return
            }
        }
        if let log = logs.filter({ isUnseenCopy(file, of: $0) }).max(by: { $0.order < $1.order }) {
            // Copied, and the log truncated, before anybody looked.
            join(file, label, logBirth: log.order.log, logInode: log.keyIdentity.inode, offset: 0)
        } else if mustBeCopy {
            if strangers.count >= Self.maximumStrangers { strangers = [:] }
            strangers[file.identity] = (file.size, file.modified)
            discard(file)
        } else {
            withdraw(file)
            begin(file, atEnd: atEnd)
            place(file)
            enqueue(file)
            if !atEnd { logs.append(file) }
        }
    }

    /// Whether the log has just lost the name by which it was to be opened. Its new one tells what is older than it: what takes
    /// that name is found by the next look at the directory, if anything is.
    private func isToBeFound(_ log: TailedFile) -> Bool {
        guard log.descriptor < 0, log.directory == nil, !log.isRemoved, log.searchedSince == nil,
            let slash = log.path.lastIndex(of: "/"), let directory = directories[String(log.path[..<slash])]
        else { return false }
        log.searchedSince = walk
        if !vacated.contains(where: { $0 === directory }) { vacated.append(directory) }
        return true
    }

    /// Whether the file, which is a copy of nothing known, was made of a log of which nothing has been read since. What was
    /// copied has an older name than the log, also when that was renamed since; where names do not tell it, the log was
    /// truncated, and so written, after the copy.
    private func isUnseenCopy(_ file: TailedFile, of log: TailedFile) -> Bool {
        let birth = file.identity.birth
        guard birth != 0, log.offset == 0, log.seen <= birth, log.identity.birth <= birth,
            log.directory != nil || log.descriptor >= 0
        else { return false }
        return file.isOlderByName(than: log)
    }

    /// Whether the log has, at the same places, what the file has.
    private func isHeld(_ file: TailedFile, in log: TailedFile) -> Bool {
        guard log.descriptor >= 0, file.descriptor >= 0 || open(file), log.size >= file.size else { return false }
        let length = Int(min(file.size, UInt64(FilePosition.maximumHead)))
        return [0, (file.size - UInt64(length)) / 2, file.size - UInt64(length)].allSatisfy { place in
            guard let part = ContentHash(of: file.descriptor, from: place, length: length) else { return false }
            return part == ContentHash(of: log.descriptor, from: place, length: length)
        }
    }

    /// From now on the file is a generation of the log, read from there on, before what the log has now.
    private func join(_ file: TailedFile, _ label: String, logBirth: Int64, logInode: UInt64, offset: UInt64) {
        withdraw(file)
        file.check = .none
        file.label = label
        file.becomeCopy(ofLogBorn: logBirth, inode: logInode)
        setOffset(file, offset)
        statistics.copiesRecognised += 1
        logger.info("\(file.path) is a copy of \(label), continued at offset \(offset)")
        note(file.position)
        place(file)
        enqueue(file)
    }

    /// It is no candidate any more.
    func withdraw(_ file: TailedFile) {
        guard let label = file.candidateLabel else { return }
        candidates[label]?.removeAll { $0 === file }
        if candidates[label]?.isEmpty == true { candidates[label] = nil }
    }

    /// As if it had never been looked at.
    func discard(_ file: TailedFile) {
        leaveTables(file)
        file.isRemoved = true
    }
}
