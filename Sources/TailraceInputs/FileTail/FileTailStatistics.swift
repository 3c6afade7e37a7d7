/// What the file inputs did since the start, and how they stand.
package struct FileTailStatistics: Equatable, Sendable {
    /// Records passed on, and their bytes with the newlines that ended them.
    package var records: UInt64 = 0
    package var bytes: UInt64 = 0
    package var batches: UInt64 = 0
    package var truncatedLines: UInt64 = 0
    package var unterminatedLines: UInt64 = 0
    /// Files known now, and of them those with an open descriptor.
    package var files = 0
    package var openFiles = 0
    package var directories = 0
    /// Directories that are polled: inotify had no watch for them, or they lie on a network file system.
    package var polledDirectories = 0
    /// Generations begun at offset 0 because a file was truncated or its content was not what the position said.
    package var restartedGenerations: UInt64 = 0
    /// Bytes known to have existed and never read: truncated away or deleted before we came to them.
    package var lostBytes: UInt64 = 0
    /// NULs at the beginning of lines that were passed over: what a hole, or a crash, leaves in a file.
    package var skippedNULs: UInt64 = 0
    /// Bytes of deleted files that are held open until they are read.
    package var deletedBytes: UInt64 = 0
    /// Deleted files that were given up unread because their file system was full.
    package var deletedGivenUp: UInt64 = 0
    /// Copies made by a copying rotation, continued where their original stood.
    package var copiesRecognised: UInt64 = 0
    /// Compressed rotations of which something was still to be read.
    package var archives: UInt64 = 0
    /// Times that a file on a network file system was not what it was, and was looked at again before that counted.
    package var doubts: UInt64 = 0
    package var queueOverflows: UInt64 = 0
    package var rescans: UInt64 = 0
    package var readErrors: UInt64 = 0
    /// Times that the input waited because no batch was free.
    package var waits: UInt64 = 0
}

extension FileTailStatistics {
    /// What happened, for the status and the metrics.
    var events: [InputReport.Count] {
        [
            .init("files begun anew", restartedGenerations), .init("copies recognised", copiesRecognised),
            .init("archives read", archives), .init("deleted files given up", deletedGivenUp),
            .init("skipped NUL bytes", skippedNULs), .init("lines cut", truncatedLines),
            .init("last lines without newline", unterminatedLines), .init("read errors", readErrors),
            .init("doubts on network file systems", doubts), .init("inotify overflows", queueOverflows),
            .init("waits for a free batch", waits),
        ]
    }

    /// How much there is now.
    var levels: [InputReport.Count] {
        [
            .init("open files", UInt64(max(0, openFiles))), .init("directories", UInt64(max(0, directories))),
            .init("polled directories", UInt64(max(0, polledDirectories))),
            .init("deleted file bytes", deletedBytes),
        ]
    }
}

/// How one file stands: the size it had when it was last looked at, and how far it has been read.
package struct TailedFileState: Equatable, Sendable {
    package enum Condition: Equatable, Sendable {
        /// Read as it grows.
        case followed
        /// Renamed away from its name; read to its end.
        case rotated
        case unlinked
        /// Cannot be found; its position is kept.
        case missing
        /// Cannot be read: the reason with its remedy.
        case troubled(String)
        /// Looks like a copy of another file that is still being made.
        case copying
    }

    package var path: String
    /// What its records carry as `source`.
    package var source: String
    package var input: String
    package var condition: Condition
    package var device: UInt64
    package var inode: UInt64
    package var generation: UInt32
    package var size: UInt64
    package var offset: UInt64
    package var lag: UInt64 { size > offset ? size - offset : 0 }
}
