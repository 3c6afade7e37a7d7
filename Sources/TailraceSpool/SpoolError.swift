package enum SpoolError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The configuration cannot work.
    case configuration(String)
    /// Another process (or another part of this one) has the spool open.
    case locked(directory: String, holder: String)
    /// A file was written by a later version of Tailrace.
    case newerVersion(path: String, version: UInt8)
    case file(SpoolFileError)
    case batchTooLarge(bytes: Int, limit: Int)
    /// The positions of all sources together would no longer fit in a segment's checkpoint.
    case positionsTooLarge(bytes: Int, limit: Int)
    case closed
    /// A reader wants ids that every output has acknowledged and that are gone.
    case released(wanted: UInt64, first: UInt64)
    /// A reader wants ids that have not been given out.
    case beyondEnd(wanted: UInt64, next: UInt64)

    package var description: String {
        switch self {
        case .configuration(let message): message
        case .locked(let directory, let holder):
            "the spool \(directory) is in use by process \(holder): stop it, or choose another state_directory"
        case .newerVersion(let path, let version):
            "\(path) has format version \(version), which this program does not know: start the newer version of "
                + "tailrace, or move the spool away; nothing was changed"
        case .file(let error): error.description
        case .batchTooLarge(let bytes, let limit):
            "a batch of \(bytes) bytes exceeds the largest frame of \(limit): make batches smaller or the spool larger"
        case .positionsTooLarge(let bytes, let limit):
            "the positions of all sources take \(bytes) bytes, more than \(limit): forget sources that are gone"
        case .closed: "the spool or ledger is closed"
        case .released(let wanted, let first):
            "record \(wanted) was released after every output acknowledged it; the spool begins at \(first)"
        case .beyondEnd(let wanted, let next): "record \(wanted) does not exist yet; the next id is \(next)"
        }
    }
}

extension SpoolError {
    /// What the file system refuses in `body` becomes an error of the spool.
    static func wrapping<T>(_ body: () throws(SpoolFileError) -> T) throws(SpoolError) -> T {
        do throws(SpoolFileError) {
            return try body()
        } catch {
            throw .file(error)
        }
    }
}
