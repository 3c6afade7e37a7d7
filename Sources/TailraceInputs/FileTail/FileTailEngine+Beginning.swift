import Glibc
internal import Logging

/// Where reading begins: what must be settled about an open file before its first byte is taken.
extension FileTailEngine {
    /// True when the file may be read from its offset; false when there is nothing to read for now.
    func prepare(_ file: TailedFile) -> Bool {
        switch file.check {
        case .none: return true
        case .content:
            let position = file.position
            if position.offset <= file.size, file.contentMatches(position) {
                file.check = .none
                return true
            }
            if isDoubted(file) { return false }
            file.check = .none
            beginAnew(file, because: "it is not what was read up to offset \(position.offset)")
            return true
        case .start(let atEnd):
            begin(file, atEnd: atEnd)
            return true
        case .copy(let label, let mustBeCopy, let atEnd):
            return prepareCopy(file, of: label, mustBeCopy: mustBeCopy, atEnd: atEnd)
        }
    }

    private func begin(_ file: TailedFile, atEnd: Bool) {
        file.check = .none
        guard atEnd, file.size > 0 else { return }
        let start = lastLineStart(file)
        file.offset = start
        file.scannedTo = start
        file.head =
            ContentHash(of: file.descriptor, from: 0, length: Int(min(start, UInt64(FilePosition.maximumHead))))
            ?? .empty
        file.marker = marker(of: file, before: start)
        note(file.position)
    }

    /// Behind the last newline; the end itself when the last line is longer than what is kept of a line anyhow.
    private func lastLineStart(_ file: TailedFile) -> UInt64 {
        let last = file.size - file.size % UInt64(file.unit)
        var end = last
        let floor = last - min(last, UInt64(inputs[file.input].maximumLine * file.unit))
        while end > floor {
            let count = Int(min(UInt64(scanScratch.count), end - floor))
            guard readFully(file.descriptor, into: scanScratch, count: count, offset: end - UInt64(count)) == count
            else {
                return last
            }
            let bytes = UnsafeRawBufferPointer(rebasing: scanScratch[..<count])
            if let newline = file.text.lastNewline(in: bytes) {
                return end - UInt64(count) + UInt64(newline + file.unit)
            }
            end -= UInt64(count)
        }
        return floor == 0 ? 0 : last
    }

    // MARK: - Copies

    /// A rotation may copy the log and then truncate it. Such a copy is continued where the log stood; it is told by its
    /// name, its first bytes and the bytes before that offset. While the log has not been truncated yet it waits.
    private func prepareCopy(_ file: TailedFile, of label: String, mustBeCopy: Bool, atEnd: Bool) -> Bool {
        if file.size == 0 { return false }
        if let position = abandoned[label], position.offset <= file.size, file.contentMatches(position) {
            file.check = .none
            if file.label != label { joinLog(file, label) }
            file.offset = position.offset
            file.scannedTo = position.offset
            file.head = position.head
            file.marker = position.marker
            statistics.copiesRecognised += 1
            logger.info("\(file.path) is a copy of \(label), continued at offset \(file.offset)")
            note(file.position)
            return true
        }
        if let log = youngest[label], log !== file, !log.isRotated, log.descriptor >= 0, log.offset > 0 {
            let isIdle = Self.monotonic() - file.lastChange >= limits.finalAfter.nanoseconds
            switch comparison(of: file, with: log) {
            case .same:
                if isIdle {
                    guard log.size >= file.size, endIsSame(file, log) else { break }
                    // A copy of what the log still has: nothing in it is news.
                    file.check = .none
                    joinLog(file, label)
                    file.offset = file.size
                    file.scannedTo = file.size
                    file.head = log.head
                    file.marker = marker(of: file, before: file.offset)
                    statistics.copiesRecognised += 1
                    note(file.position)
                    return true
                }
                wait(file, limits.finalAfter.nanoseconds)
                return false
            case .undecided:
                if !isIdle {
                    wait(file, limits.finalAfter.nanoseconds)
                    return false
                }
            case .different: break
            }
        }
        if mustBeCopy {
            // Not matched by any pattern, and not a copy either: none of ours.
            discard(file)
            return false
        }
        begin(file, atEnd: atEnd)
        return true
    }

    /// Whether the bytes at the end of `file` stand at the same offset in `log`.
    private func endIsSame(_ file: TailedFile, _ log: TailedFile) -> Bool {
        let length = Int(min(file.size, UInt64(FilePosition.maximumMarker)))
        let from = file.size - UInt64(length)
        guard let end = ContentHash(of: file.descriptor, from: from, length: length) else { return false }
        return end == ContentHash(of: log.descriptor, from: from, length: length)
    }

    /// What a copy has and the log no longer has was written before the log's present content.
    private func joinLog(_ file: TailedFile, _ label: String) {
        if youngest[file.label] === file { youngest[file.label] = nil }
        file.label = label
        file.isCopy = true
        youngest[label]?.insertPredecessor(file)
    }

    private enum Comparison { case same, different, undecided }

    /// Whether `file` holds the beginning of what was read of `log`, which may have been truncated since.
    private func comparison(of file: TailedFile, with log: TailedFile) -> Comparison {
        if file.size < UInt64(log.head.length) { return .undecided }
        guard ContentHash(of: file.descriptor, from: 0, length: Int(log.head.length)) == log.head else {
            return .different
        }
        if file.size < log.offset { return .undecided }
        return file.contentMatches(log.position) ? .same : .different
    }

    /// As if it had never been looked at.
    func discard(_ file: TailedFile) {
        file.closeDescriptor()
        openFiles.removeAll { $0 === file }
        if files[file.identity] === file { files[file.identity] = nil }
        if lost[file.identity.withoutDevice] === file { lost[file.identity.withoutDevice] = nil }
        if let directory = file.directory, directory.names[file.name] === file { directory.names[file.name] = nil }
        if youngest[file.label] === file { youngest[file.label] = nil }
        file.directory = nil
        file.isRemoved = true
    }
}
