import Glibc
internal import Logging

/// Files of network file systems: for a while a server, or a cache of its answers, may tell an old size, fewer bytes than
/// there are, or NULs for what has not arrived. So what looks like another content is looked at again before it counts,
/// and NULs are not read before they have been seen for as long.
extension FileTailEngine {
    /// The file has not the content that was read: it begins anew, once that is beyond doubt.
    func restart(_ file: TailedFile, because reason: String) -> Outcome {
        if isDoubted(file) { return .held }
        beginAnew(file, because: reason)
        return .more
    }

    /// Whether a content that is not what was read is waited out.
    func isDoubted(_ file: TailedFile) -> Bool {
        guard file.isRemote else { return false }
        if isDoubted(file, .content(before: file.offset)) { return true }
        guard file.contentMatches(file.position) else { return false }
        // Only the size is old, however long; or it is that of another file, which has the name now.
        file.isShort = true
        wait(file, limits.pollInterval.nanoseconds)
        return true
    }

    /// An open file may be told of as the one that has its name now: what it is itself is seen by opening its name anew, or,
    /// without a name, by reading.
    func lookAtItself(_ file: TailedFile, _ status: FileStatus) -> Outcome? {
        guard file.isRemote, status.identity != file.identity else { return nil }
        if file.directory != nil {
            close(file)
            return .more
        }
        file.size = file.offset + UInt64(readPiece(of: file, from: file.offset, to: .max))
        return nil
    }

    private func isDoubted(_ file: TailedFile, _ subject: TailedFile.Doubt.Subject) -> Bool {
        let now = Self.monotonic()
        var doubt = TailedFile.Doubt(subject: subject, looks: 0, next: now)
        if let old = file.doubt, old.subject == subject {
            doubt = old
        } else {
            statistics.doubts += 1
            logger.info("\(file.path) is not what it was, on a network file system: looked at again before that counts")
        }
        if now >= doubt.next {
            doubt.looks += 1
            doubt.next = now + limits.pollInterval.nanoseconds
        }
        file.doubt = doubt
        guard doubt.looks <= limits.doubtfulLooks else { return false }
        wait(file, doubt.next - now)
        return true
    }

    /// The bytes before the offset are those that were read there.
    func trustContent(_ file: TailedFile) {
        if case .content = file.doubt?.subject { file.doubt = nil }
    }

    /// How many of the bytes that lie at `place` have arrived: those before the first NUL, until it has been waited out.
    func arrived(_ bytes: UnsafeRawBufferPointer, of file: TailedFile, at place: UInt64, wanted: Int) -> Int {
        guard file.isRemote else { return bytes.count }
        if bytes.count < wanted {
            file.isShort = file.directory != nil
            wait(file, limits.pollInterval.nanoseconds)
        }
        let trusted = Int(clamping: file.trustedTo > place ? file.trustedTo - place : 0)
        guard trusted < bytes.count, let first = Self.firstNUL(in: bytes, from: trusted, unit: file.unit) else {
            return bytes.count
        }
        if isDoubted(file, .nuls(at: place + UInt64(first))) { return first }
        file.doubt = nil
        file.trustedTo = file.size
        return bytes.count
    }

    private static func firstNUL(in bytes: UnsafeRawBufferPointer, from start: Int, unit: Int) -> Int? {
        var from = start / unit * unit
        while from < bytes.count, let found = bytes[from...].firstIndex(of: 0) {
            let index = found / unit * unit
            if unit == 1 || found == index && index + 1 < bytes.count && bytes[index + 1] == 0 { return index }
            from = found + 1
        }
        return nil
    }
}
