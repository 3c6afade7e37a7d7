import Synchronization
package import TailraceSpool

/// Which records of which input every output has acknowledged.
package final class InputAccount: DeliveryAccount {
    private let inputs: [String]
    private let spool: Spool
    private let account: Mutex<SequenceAccount>
    /// Spans kept before they are checked against what has been released meanwhile.
    private static let spanLimit = 1024

    /// - Parameter inputs: the inputs' names.
    package init(spool: Spool, inputs: [String]) {
        self.spool = spool
        self.inputs = inputs
        account = Mutex(SequenceAccount(start: spool.statistics().nextSequence, inputs: inputs.count))
    }

    /// The first id of this run.
    package var start: UInt64 { account.withLock { $0.start } }

    package func input(named name: String) -> Int? { inputs.firstIndex(of: name) }

    package func note(first: UInt64, count: Int, input: Int) {
        let isLong = account.withLock {
            $0.note(first: first, count: count, input: input)
            return $0.count > Self.spanLimit
        }
        if isLong { _ = acknowledged(below: spool.statistics().released) }
    }

    /// Per input, the records of this run with ids below `floor`.
    package func acknowledged(below floor: UInt64) -> [UInt64] {
        account.withLock {
            $0.acknowledge(below: floor)
            return $0.acknowledged
        }
    }
}
