import Glibc
import TailraceSpool

/// What may be wrong with one call to a disk.
package enum DiskFault: Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case fails(CInt)
    /// It does less than it was asked for.
    case short

    package static let allCases: [DiskFault] =
        [EIO, ENOSPC, EDQUOT, EROFS, EMFILE, EINTR].map { .fails($0) } + [.short]

    /// Whether a call of this kind can go wrong like this.
    package func fits(_ operation: SpoolFileOperation) -> Bool {
        switch self {
        case .short: [.read, .write].contains(operation)
        case .fails(EINTR):
            [.open, .create, .read, .write, .sync, .truncate, .preallocate, .syncDirectory, .lock].contains(operation)
        case .fails(EMFILE): [.open, .create, .list].contains(operation)
        case .fails(ENOSPC), .fails(EDQUOT):
            [.create, .write, .sync, .preallocate, .link, .rename, .syncDirectory, .makeDirectory].contains(operation)
        case .fails(EROFS): DiskTrouble.changes.contains(operation)
        case .fails: true
        }
    }

    /// It may be like this for ever: nobody is interrupted for ever.
    package var canStay: Bool { self != .fails(EINTR) }

    package var description: String {
        switch self {
        case .fails(let code): String(cString: strerror(code))
        case .short: "a short count"
        }
    }
}
