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
    /// The call with this number goes wrong.
    package var nth: Nth?
    /// How likely a read or write is to do less than it was asked for, and a call to be interrupted, in thousandths.
    package var shortCounts = 0
    package var interruptions = 0

    package init() {}

    package struct Nth: Sendable {
        package var number: Int
        package var fault: DiskFault
        /// So do all later calls that the fault fits.
        package var isForEver: Bool

        func meets(_ operation: SpoolFileOperation, _ call: Int) -> Bool {
            call == number || (isForEver && call > number && fault.fits(operation))
        }
    }

    /// Every call does what it should.
    var isNone: Bool { chance == 0 && nth == nil && shortCounts == 0 && interruptions == 0 }

    /// Kinds that change something.
    package static let changes: [SpoolFileOperation] = [
        .create, .write, .sync, .truncate, .preallocate, .link, .unlink, .rename, .syncDirectory, .makeDirectory,
    ]

    /// The errno that a call fails with, or nil.
    func failure(_ operation: SpoolFileOperation, number: Int, _ random: inout SeededGenerator) -> CInt? {
        if let nth, case .fails(let code) = nth.fault, nth.meets(operation, number) { return code }
        if interruptions > 0, Int.random(in: 0..<1000, using: &random) < interruptions { return EINTR }
        guard chance > 0, operations.contains(operation) else { return nil }
        return Int.random(in: 0..<1000, using: &random) < chance ? code : nil
    }

    /// How much of `count` bytes a read or write does.
    func share(of count: Int, _ operation: SpoolFileOperation, number: Int, _ random: inout SeededGenerator) -> Int {
        if let nth, nth.fault == .short, nth.meets(operation, number) { return max(1, count / 2) }
        guard count > 1, shortCounts > 0, Int.random(in: 0..<1000, using: &random) < shortCounts else { return count }
        return Int.random(in: 1..<count, using: &random)
    }
}
