import Synchronization
package import TailraceSpool

/// Releases what every output has acknowledged: a segment goes when the slowest output is past it (promise 3).
package final class SpoolFloors: Sendable {
    private let spool: Spool
    private let floors: Mutex<[UInt64]>

    /// - Parameter outputs: how many; each is known by its index.
    package init(_ spool: Spool, outputs: Int) {
        precondition(outputs > 0)
        self.spool = spool
        floors = Mutex(Array(repeating: 0, count: outputs))
    }

    package func set(_ floor: UInt64, output: Int) {
        let lowest = floors.withLock { floors in
            floors[output] = max(floors[output], floor)
            return floors.min() ?? 0
        }
        spool.release(below: lowest)
    }
}
