import TailraceDelivery
import TailraceSpool

/// What must be true of a world, kept beside it as simply as possible: which record has which id, what was promised to be
/// kept, and what the service has.
struct Expectations {
    private let isExact: Bool
    /// Which record has, or had, an id.
    private var names: [UInt64: WorldRecord] = [:]
    /// Those of them that were durable once: they must arrive.
    private var kept: Set<UInt64> = []
    /// Given out by the present process, and not durable yet.
    private var waiting: Range<UInt64> = 0..<0
    /// Ids below were durable once.
    private(set) var promised: UInt64 = 0
    /// Per source, how many records were covered by a durable position.
    private(set) var covered: [Int: Int] = [:]
    /// Positions on their way, by the id after their last record.
    private var uncovered: [(end: UInt64, source: Int, position: Int)] = []
    /// What the service has, by id, and how often.
    private var stored: [UInt64: Int] = [:]
    /// How often an id may still come again, with a service that can be sent it twice.
    private var excused: [UInt64: Int] = [:]
    /// Of each source, the numbers of its records in the order of their first arrival, wherever that was.
    private var arrivals: [Int: [Int]] = [:]
    private var checkedFloor: UInt64 = 0
    /// The ledger's disk has this floor.
    private var durableFloor: UInt64 = 0
    private(set) var violations: [String] = []

    /// - Parameter isExact: the service numbers or deduplicates: nothing may come twice.
    init(isExact: Bool) { self.isExact = isExact }

    mutating func violate(_ what: String) {
        if violations.count < 6 { violations.append(what) }
    }

    // MARK: What happens

    /// The spool has taken records under the ids from `first` on.
    mutating func give(_ records: [WorldRecord], first: UInt64, position: Int?) {
        for (offset, record) in records.enumerated() {
            let id = first + UInt64(offset)
            if id < promised { violate("id \(id) is given out again, to \(record)") }
            if stored[id] != nil, names[id] != record {
                violate("id \(id), which the service has, is given to \(record)")
            }
            names[id] = record
        }
        if waiting.isEmpty { waiting = first..<first }
        if waiting.upperBound != first { violate("id \(first) follows \(waiting.upperBound)") }
        waiting = waiting.lowerBound..<(first + UInt64(records.count))
        if let position, let record = records.first {
            uncovered.append((first + UInt64(records.count), record.source, position))
        }
    }

    /// Everything below `end` is durable.
    mutating func promise(below end: UInt64) {
        if end < promised { violate("the durable end went back from \(promised) to \(end)") }
        promised = max(promised, end)
        while waiting.lowerBound < end, !waiting.isEmpty {
            kept.insert(waiting.lowerBound)
            waiting = (waiting.lowerBound + 1)..<waiting.upperBound
        }
        while let next = uncovered.first, next.end <= end {
            covered[next.source] = next.position
            uncovered.removeFirst()
        }
    }

    mutating func processEnded() {
        uncovered = []
        waiting = 0..<0
    }

    /// A spool was opened, and holds these from `first` on, and its next id is `next`. What was not told to be durable may
    /// be there all the same; once it is, it stays.
    mutating func open(_ records: [Numbered], first: UInt64, next: UInt64) {
        if next < promised { violate("the next id is \(next), behind the durable \(promised)") }
        if let last = records.last { promise(below: max(promised, last.id + 1)) }
        var found: Set<UInt64> = []
        var last: UInt64?
        for record in records {
            if let last, record.id <= last { violate("the spool holds \(record.id) behind \(last)") }
            last = record.id
            found.insert(record.id)
            if kept.contains(record.id), names[record.id] != record.record {
                violate(
                    "the spool holds \(record.record) as \(record.id), which was \(names[record.id].map(\.description) ?? "?")"
                )
            }
            if record.id >= first { kept.insert(record.id) }
            names[record.id] = record.record
        }
        // What every output has acknowledged may come back in parts: it was being removed.
        for id in kept.sorted() where id >= max(first, checkedFloor) && !found.contains(id) {
            violate("the spool has lost \(id) (\(names[id].map(\.description) ?? "?"))")
        }
        release(below: first)
    }

    mutating func store(_ record: Numbered) {
        if let known = names[record.id], known != record.record {
            violate("id \(record.id) arrives as \(record.record), it was given to \(known)")
        }
        names[record.id] = record.record
        if !isExact, stored[record.id] != nil {
            excused[record.id, default: 0] -= 1
            if excused[record.id, default: 0] < 0 {
                violate("id \(record.id) (\(record.record)) came again, and was not in flight")
            }
        }
        if stored[record.id] == nil { arrivals[record.record.source, default: []].append(record.record.number) }
        stored[record.id, default: 0] += 1
        if record.id >= promised { violate("id \(record.id) arrived, and was never durable") }
    }

    /// Whether the service has them was not known, or is not any more: they may come once more than they did.
    mutating func excuse(_ ids: some Sequence<UInt64>) {
        for id in ids { excused[id, default: 0] += 1 }
    }

    /// So with all that arrived under ids from `first` on.
    mutating func excuse(from first: UInt64) { excuse(stored.keys.filter { $0 >= first }) }

    /// The ledger says, and its disk has, that every id below `floor` is acknowledged.
    mutating func acknowledge(below floor: UInt64) {
        durableFloor = max(durableFloor, floor)
        release(below: floor)
    }

    /// Nobody needs the ids below `floor` any more.
    private mutating func release(below floor: UInt64) {
        guard floor > checkedFloor else { return }
        for id in checkedFloor..<floor {
            guard kept.contains(id), let record = names[id], !record.isPoison else { continue }
            if stored[id] == nil { violate("the ledger is at \(floor), but \(id) (\(record)) never arrived") }
        }
        checkedFloor = floor
    }

    /// A ledger was opened.
    mutating func resume(floor: UInt64) {
        if floor < durableFloor { violate("the ledger is back at \(floor), behind \(durableFloor) on the disk") }
    }

    /// Damage took the ledger: the next one begins at the spool's first record.
    mutating func loseLedger() { durableFloor = 0 }

    /// Damage took these: they need not arrive.
    mutating func lose(_ ids: Range<UInt64>) { kept.subtract(ids) }

    /// A spool was opened: what it says about a source's position and the next id.
    mutating func resume(source: Int, position: Int?) {
        if let position {
            if position < covered[source, default: 0] {
                violate("source \(source) is back at \(position), behind \(covered[source, default: 0])")
            }
        } else if covered[source, default: 0] > 0 {
            violate("source \(source) has lost its position")
        }
    }

    // MARK: The end

    /// Everything was delivered: what was durable once has arrived, or is among the `dead`, when these are known.
    mutating func checkArrivals(dead: [WorldRecord]?) {
        for id in kept.sorted() {
            guard let record = names[id], stored[id] == nil else { continue }
            if !record.isPoison { violate("id \(id) (\(record)) was durable and never arrived") }
            if record.isPoison, let dead, !dead.contains(record) {
                violate("id \(id) (\(record)) was refused and not kept")
            }
        }
    }

    /// Everything was delivered, and the world stands still.
    mutating func finish(
        _ plan: WorldPlan, positions: [Int: Int], partitions: [[Numbered]], dead: [WorldRecord]?
    ) {
        if isExact {
            for id in stored.keys.sorted() where stored[id, default: 0] > 1 {
                violate("id \(id) (\(names[id].map(\.description) ?? "?")) arrived \(stored[id, default: 0]) times")
            }
        }
        checkArrivals(dead: dead)
        for (partition, stored) in partitions.enumerated() {
            var seen: Set<UInt64> = []
            var last: UInt64?
            for record in stored where seen.insert(record.id).inserted {
                if let last, record.id < last { violate("in partition \(partition), \(record.id) came behind \(last)") }
                last = record.id
            }
        }
        for (source, what) in plan.sources.enumerated() where what.isDelayable {
            var next = 0
            for number in arrivals[source, default: []] {
                while what.poisonEvery > 0, next % what.poisonEvery == what.poisonEvery - 1 { next += 1 }
                if number != next { violate("source \(source): \(number) arrived in the place of \(next)") }
                next = number + 1
            }
            while what.poisonEvery > 0, next % what.poisonEvery == what.poisonEvery - 1 { next += 1 }
            let position = positions[source, default: 0]
            let expected =
                what.poisonEvery > 0 && position % what.poisonEvery == what.poisonEvery - 1 ? position + 1 : position
            if next != position, next != expected {
                violate("source \(source) was read to \(position), and \(next) records of it arrived")
            }
        }
    }
}
