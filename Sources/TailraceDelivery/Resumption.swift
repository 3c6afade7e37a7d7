package import TailraceSpool

/// What a service that numbers records tells about a partition when a drain begins.
package struct ServicePosition: Equatable, Sendable {
    /// Who the service takes us for.
    package var producer: LedgerState.Producer
    /// The number of the last record that the service has of this producer; -1 before the first.
    package var lastNumber: Int64
    /// The number that this run's numbers follow: the same, unless the service counts anew for each owner level, or has
    /// forgotten numbers that were used.
    package var base: Int64

    package init(producer: LedgerState.Producer, lastNumber: Int64, base: Int64? = nil) {
        self.producer = producer
        self.lastNumber = lastNumber
        self.base = base ?? lastNumber
    }
}

/// The records that the service has, and that the last run did not live to note in the ledger: the first so many of
/// each partition behind what the ledger says. They are not sent again.
///
/// Too few may be skipped, which makes duplicates, and never too many: a record that came into the spool after the last
/// run is not skipped, and a gap of unreadable ids, which may hide any of them, ends the skipping.
struct Resumption: Sendable {
    /// Per partition, how many are still to be skipped.
    private(set) var remaining: [Int]
    /// Where the numbers go on when the skipping ends early.
    private var bases: [Int64]
    /// Ids from here on were not there in the last run.
    let end: UInt64

    /// Nothing to skip.
    init(partitions: Int) {
        remaining = Array(repeating: 0, count: partitions)
        bases = Array(repeating: ServiceNumbering.none, count: partitions)
        end = 0
    }

    /// Holds what the ledger says against what the service says, and makes the service's producers the ledger's.
    ///
    /// - Parameters:
    ///   - end: the spool's next id when it was opened.
    ///   - gone: ids that were acknowledged and are gone, without the ledger's knowing. How many of them are a partition's
    ///     nobody can tell any more, nor how many records behind them the service has.
    ///   - doubt: told the partitions whose positions do not fit, with the reason; nothing is skipped there.
    init(
        _ state: inout LedgerState, _ positions: [ServicePosition], _ numbering: ServiceNumbering = .wrapping,
        end: UInt64, gone: Range<UInt64> = 0..<0, doubt: (_ partition: Int, _ reason: String) -> Void
    ) {
        precondition(positions.count == state.partitions.count)
        self.init(positions, end: end)
        for (index, position) in positions.enumerated() {
            let ledger = state.partitions[index]
            let (service, base) = (position.lastNumber, position.base)
            state.partitions[index].producer = position.producer
            state.partitions[index].serviceNumber = base
            state.partitions[index].found = nil
            guard ledger.producer?.groupID == position.producer.groupID else { continue }
            let held = end > ledger.acknowledged ? end - ledger.acknowledged : 0
            switch ledger.beyond(service, numbering) {
            case let ahead? where ahead > 0 && !gone.isEmpty && ledger.acknowledged < gone.upperBound:
                doubt(index, "it has \(ahead) records more than the ledger, and some of them left the spool")
            case let ahead? where UInt64(ahead) <= held:
                remaining[index] = Int(ahead)
                // So that the numbers meet the base when the skipping ends, also in a run that goes on with it.
                state.partitions[index].serviceNumber =
                    base == service && ledger.found == nil
                    ? ledger.serviceNumber : numbering.before(base, by: ahead)
            case let ahead?:
                doubt(index, "it has \(ahead) records more than the ledger, and the spool holds only \(held)")
            // It keeps no numbers, and never knew what the ledger knows.
            case nil where numbering == .rising && service == ServiceNumbering.none: break
            case nil:
                doubt(index, "its last number is \(service), the ledger's \(ledger.serviceNumber)")
            }
        }
    }

    private init(_ positions: [ServicePosition], end: UInt64) {
        remaining = Array(repeating: 0, count: positions.count)
        bases = positions.map(\.base)
        self.end = end
    }

    var isOver: Bool { remaining.allSatisfy { $0 == 0 } }

    /// How many of `count` records from the id `first` on are to be skipped.
    mutating func take(_ partition: Int, first: UInt64, count: Int) -> Int {
        guard remaining[partition] > 0, first < end else { return 0 }
        let taken = min(remaining[partition], count, Int(clamping: end - first))
        remaining[partition] -= taken
        return taken
    }

    /// Ends the skipping, and says where the numbers of the partitions go on that were not through with it.
    mutating func stop() -> [(partition: Int, number: Int64, left: Int)] {
        defer { for index in remaining.indices { remaining[index] = 0 } }
        return remaining.indices.filter { remaining[$0] > 0 }.map { ($0, bases[$0], remaining[$0]) }
    }
}

extension LedgerState.Partition {
    /// How many records from `acknowledged` on the service has, whose last number is `number`; nil when that does not fit.
    fileprivate func beyond(_ number: Int64, _ numbering: ServiceNumbering) -> Int64? {
        let counted = numbering.distance(from: serviceNumber, to: number)
        guard let found else { return counted }
        // Before the first number it has counted anew, and tells nothing. Otherwise what came late counts too.
        guard number != ServiceNumbering.none, let counted else { return Int64(found) }
        return max(Int64(found), counted)
    }
}

extension LedgerState {
    /// A producer is about to get a higher owner level, under which the service may count anew: what it has beyond the
    /// ledger is kept until records go out again.
    ///
    /// - Parameter number: of the last record that the service has, before.
    package mutating func raise(_ index: Int, to producer: Producer, from number: Int64) {
        let beyond = partitions[index].beyond(number, .wrapping)
        partitions[index].producer = producer
        partitions[index].found = beyond.flatMap { UInt32(exactly: $0) }
    }

    /// The producers that a new run goes on with, one per partition; nil where there is none, or where the routing has
    /// changed, so that another producer must begin.
    package func producers(_ routing: Routing) -> [Producer?] {
        guard partitions.count == routing.partitions, keyKind == routing.key.kind else {
            return Array(repeating: nil, count: routing.partitions)
        }
        return partitions.map(\.producer)
    }
}
