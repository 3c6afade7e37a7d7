import Synchronization
package import TailraceSpool

/// Which records of which input every output has acknowledged.
package final class InputAccount: DeliveryAccount {
    private let roster: InputRoster
    private let spool: Spool
    private struct State {
        var account: SequenceAccount
        /// So many spans are kept before they are checked against what has been released meanwhile.
        var nextCheck = InputAccount.spanLimit
    }
    private let state: Mutex<State>
    private static let spanLimit = 1024

    package init(spool: Spool, roster: InputRoster) {
        self.spool = spool
        self.roster = roster
        state = Mutex(State(account: SequenceAccount(start: spool.statistics().nextSequence)))
    }

    /// The first id of this run.
    package var start: UInt64 { state.withLock { $0.account.start } }

    package func input(named name: String) -> Int? { roster.index(of: name) }

    package func note(first: UInt64, count: Int, input: Int) {
        let isLong = state.withLock {
            $0.account.note(first: first, count: count, input: input)
            return $0.account.count > $0.nextCheck
        }
        guard isLong else { return }
        let released = spool.statistics().released
        state.withLock {
            $0.account.acknowledge(below: released)
            // What waits long, for an output that is slow, is not gone through for every record.
            $0.nextCheck = max(Self.spanLimit, min($0.account.count * 2, SequenceAccount.limit - 1))
        }
    }

    /// By the inputs' numbers, the records of this run with ids below `floor`; of those beyond there are none.
    package func acknowledged(below floor: UInt64) -> [UInt64] {
        state.withLock {
            $0.account.acknowledge(below: floor)
            return $0.account.acknowledged
        }
    }
}
