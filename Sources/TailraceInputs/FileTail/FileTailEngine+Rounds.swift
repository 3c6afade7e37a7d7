/// Which file is read next: one block of each that is ready, the generations of one log in their order.
extension FileTailEngine {
    /// Reads at most one block of each file that is ready. Returns the bytes passed on.
    func readRound() -> Int {
        let before = statistics.bytes
        let files = ready
        ready = []
        for (index, file) in files.enumerated() {
            if isClosed || shared.stops {
                ready.insert(contentsOf: files[index...], at: 0)
                break
            }
            file.isQueued = false
            shared.mark.work()
            guard !file.isRemoved else { continue }
            if file.predecessor != nil {
                readAfterPredecessor(file)
                continue
            }
            switch read(file) {
            case .more: enqueue(file)
            case .atEnd: atEnd(file)
            case .held: break
            }
        }
        return Int(clamping: statistics.bytes - before)
    }

    /// Opens what waits to be read, so that it can be read even if it is unlinked first.
    func openReady() {
        for file in ready where file.descriptor < 0 && file.directory != nil && !file.isRemoved { _ = open(file) }
    }

    enum Outcome {
        /// There is, or may be, more.
        case more
        /// Everything up to the file's end is passed on, but for a line that has no newline yet.
        case atEnd
        /// It cannot be read now; something else will bring it back.
        case held
    }

    /// The generation before this one goes first. It counts as read when it was found at its end after this one was
    /// seen to have something: a writer that still had it open has then moved on.
    private func readAfterPredecessor(_ file: TailedFile) {
        guard file.descriptor >= 0 || open(file), let status = FileStatus(descriptor: file.descriptor) else {
            if file.trouble == 0, file.directory != nil { enqueue(file) }
            return
        }
        var next = file
        while let before = next.predecessor, before.predecessor != nil { next = before }
        guard let first = next.predecessor else { return }
        if first.descriptor < 0, first.directory == nil, !first.isRemoved {
            // It is not open, and it has no name that we know of: perhaps a rename is still to be heard of.
            let since = first.searchedSince ?? walk
            if since == walk {
                first.searchedSince = since
                wantsWalk = true
                enqueue(file)
                return
            }
        }
        if first.isRemoved || first.descriptor < 0 && first.directory == nil || first.trouble != 0 {
            next.predecessor = nil
            enqueue(file)
            return
        }
        if status.size < file.offset {
            // It was truncated: that is noted at once, for a copy may wait to hear of it.
            if read(file) != .held { enqueue(file) }
            return
        }
        if status.size == 0, status.links > 0 { return }
        switch read(first) {
        case .more:
            enqueue(first)
            enqueue(file)
        case .atEnd:
            atEnd(first)
            if first.size <= first.offset {
                next.passPredecessor(first)
                enqueue(file)
            } else {
                wait(file, Self.predecessorInterval)
            }
        case .held: wait(file, Self.predecessorInterval)
        }
    }

    /// How often a generation that must wait looks whether it still must: 50 ms.
    private static let predecessorInterval: Int64 = 50_000_000

    private func atEnd(_ file: TailedFile) {
        if file.candidateLabel != nil || file.isArchive || file.doubt != nil { return }
        guard file.isRotated || file.isUnlinked else { return }
        let hasRest = file.size > file.offset
        if hasRest, file.scannedTo < file.size, !isHeldOpen(file) {
            // What a server does not give yet is asked for again later.
            if file.isRemote { wait(file, limits.pollInterval.nanoseconds) } else { enqueue(file) }
            return
        }
        let now = Self.monotonic()
        let idle = now - file.lastChange
        if idle < limits.finalAfter.nanoseconds {
            wait(file, min(limits.finalAfter.nanoseconds - idle, limits.pollInterval.nanoseconds))
        } else if hasRest {
            if beginsWithNULs(file) {
                _ = passNULs(file, isFinal: true)
                enqueue(file)
            } else if closeRest(file) {
                enqueue(file)
            }
        } else if file.isUnlinked {
            retire(file)
        } else {
            close(file)
            if file.directory == nil { file.missingSince = now }
        }
    }
}
