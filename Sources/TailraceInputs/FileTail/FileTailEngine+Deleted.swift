import Glibc
internal import Logging

/// Files that were deleted while they were read: they keep their blocks until they are closed.
extension FileTailEngine {
    /// Gives up deleted files, the longest idle first, while their file systems are nearly full; at most once a second.
    func releaseDeleted(_ now: Int64) {
        guard now >= nextDeletedCheck else { return }
        nextDeletedCheck = now + 1_000_000_000
        var candidates: [TailedFile] = []
        for file in openFiles where file.directory == nil {
            guard let status = FileStatus(descriptor: file.descriptor), status.links == 0 else { continue }
            file.isUnlinked = true
            file.size = status.size
            candidates.append(file)
        }
        candidates.sort { $0.lastChange < $1.lastChange }
        for file in candidates where isNearlyFull(file) {
            let unread = file.size > file.offset ? file.size - file.offset : 0
            statistics.lostBytes += unread
            statistics.deletedGivenUp += 1
            logger.warning(
                """
                \(file.path) was deleted, and its file system has less than \(inputs[file.input].deletedMinimumFree) \
                bytes free: given up with \(unread) bytes unread
                """)
            remove(file)
        }
    }

    private func isNearlyFull(_ file: TailedFile) -> Bool {
        var status = statvfs()
        guard fstatvfs(file.descriptor, &status) == 0 else { return false }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize) < inputs[file.input].deletedMinimumFree
    }
}
