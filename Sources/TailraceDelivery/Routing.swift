package import TailraceSpool

/// What decides the partition of a record. One is in force for a whole generation of an output's ledger.
package struct Routing: Equatable, Sendable {
    package var key: RoutingKey
    /// How many partitions the keys are spread over: all that the service has, or had when the generation began.
    package var partitions: Int

    package init(key: RoutingKey, partitions: Int) {
        self.key = key
        self.partitions = partitions
    }
}

/// How an output comes from its ledger's routing to another one.
package enum RoutingStep: Equatable, Sendable {
    /// It is the ledger's, or nothing was ever sent.
    case keep
    /// Nothing waits that the ledger's routing has to do with: the other one may begin.
    case begin
    /// Records wait, and the service may have some of them already: they go by this routing, the ledger's, and what comes
    /// behind them waits until they are acknowledged (`Drain.finish`). So no record goes to two partitions, and none of a
    /// key that moves comes before its predecessors.
    case finish(Routing)
    /// The same, but partitions that the ledger's routing needs are gone: what waits goes by the other routing, and what
    /// was acknowledged out of the order of the ids goes twice.
    case startOver
}

extension LedgerState {
    /// - Parameters:
    ///   - wanted: with as many partitions as the service has.
    ///   - next: the spool's next id.
    ///   - isFinished: a drain was told to finish the ledger's routing, and has done so; nothing was sent since.
    package func step(to wanted: Routing, next: UInt64, isFinished: Bool = false) -> RoutingStep {
        guard let first = routing(else: wanted.key), first != wanted else { return .keep }
        if isFinished || floor >= next { return .begin }
        return first.partitions <= wanted.partitions ? .finish(first) : .startOver
    }

    /// The routing in force; nil before there was any.
    ///
    /// - Parameter key: where the ledger does not tell it (before format 2).
    package func routing(else key: RoutingKey) -> Routing? {
        guard !partitions.isEmpty else { return nil }
        let known = RoutingKey.allCases.first { $0.kind == keyKind }
        return Routing(key: known ?? key, partitions: partitions.count)
    }

    /// Begins a generation. All that was sent is below the floor; the numbers of the partitions that stay go on.
    package mutating func begin(_ routing: Routing) {
        if !partitions.isEmpty { generation += 1 }
        keyKind = routing.key.kind
        partitions = (0..<routing.partitions).map { index in
            guard index < partitions.count else { return Partition(acknowledged: floor) }
            var partition = partitions[index]
            partition.acknowledged = floor
            partition.found = nil
            return partition
        }
    }
}
