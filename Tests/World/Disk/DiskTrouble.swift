import Glibc
import TailraceSpool
import TestSupport

/// What goes wrong with a disk's calls.
package struct DiskTrouble {
    /// Calls of these kinds may fail.
    package var operations: [SpoolFileOperation] = []
    package var code: CInt = EIO
    /// How likely such a call is to fail, in thousandths; 1000: the trouble is there to stay.
    package var chance = 0
    /// The call with this number fails, whatever it is.
    package var nth: Int?
    /// So does every call after it.
    package var isForEver = false
    /// How likely a read or write is to do less than it was asked for, and a call to be interrupted, in thousandths.
    package var shortCounts = 0
    package var interruptions = 0

    package init() {}

    /// Kinds that change something.
    package static let changes: [SpoolFileOperation] = [
        .create, .write, .sync, .truncate, .preallocate, .link, .unlink, .rename, .syncDirectory, .makeDirectory,
    ]

    /// The errno that a call fails with, or nil.
    func failure(_ operation: SpoolFileOperation, number: Int, _ random: inout SeededGenerator) -> CInt? {
        if let nth, number == nth || (isForEver && number > nth) { return code }
        if interruptions > 0, Int.random(in: 0..<1000, using: &random) < interruptions { return EINTR }
        guard chance > 0, operations.contains(operation) else { return nil }
        return Int.random(in: 0..<1000, using: &random) < chance ? code : nil
    }

    /// How much of `count` bytes a call does.
    func share(of count: Int, _ random: inout SeededGenerator) -> Int {
        guard count > 1, shortCounts > 0, Int.random(in: 0..<1000, using: &random) < shortCounts else { return count }
        return Int.random(in: 1..<count, using: &random)
    }
}
