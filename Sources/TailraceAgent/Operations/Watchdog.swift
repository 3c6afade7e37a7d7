internal import TailraceSpool

/// Decides whether all stages get on: health as progress, not as life (promise 10).
///
/// Everybody is looked at now and then. A thread of ours that is at the same piece of work as at the look before is blocked,
/// whatever by; a look comes after `interval` at the earliest, so it has been for as long. An output whose acknowledged ids
/// do not move for `patience`, though records wait and nothing that it knows of stands in their way, is stuck. One that
/// knows what stands in its way (a service that cannot be reached, refuses, is full) waits, and nothing of ours is wrong:
/// starting anew would not mend it.
///
/// Time comes from outside: a monotonic clock in milliseconds.
struct Watchdog: Sendable {
    struct Stage: Equatable, Sendable {
        /// Different for each, such as "ledger hub".
        var name: String
        /// Of its `StageMark`: odd while it is at work.
        var mark: UInt64
    }

    struct Output: Equatable, Sendable {
        var name: String
        /// Rises with everything that is settled.
        var settled: UInt64
        /// Records that wait or are in flight.
        var backlog: UInt64
        /// What stands in their way, as far as it is known.
        var reason: String?
    }

    /// A stage or output that does not get on.
    struct Blockage: Equatable, Sendable, CustomStringConvertible {
        enum Kind: Equatable, Sendable {
            case stage(String)
            case output(String)
        }
        var kind: Kind
        /// Milliseconds for which that has been known.
        var duration: Int64

        var description: String {
            switch kind {
            case .stage(let name):
                "\(name): at one piece of work for \(duration / 1000) s; most likely a disk, or a network file system, does not answer"
            case .output(let name): "output \(name): nothing settled for \(duration / 1000) s, and no reason known"
            }
        }
    }

    /// Milliseconds between two looks, and from the first look at a stage to the first that counts.
    let interval: Int64
    /// Every step on the way to a service has a deadline, of a minute or less, after which there is a reason: this is longer
    /// than several of them.
    static let patience: Int64 = 300_000

    private var marks: [String: (mark: UInt64, since: Int64)] = [:]
    private var progress = ProgressWatch(patience: patience)

    /// - Parameter limit: milliseconds after which the service manager loses its patience; nil when it has no watchdog.
    init(limit: Int64?) {
        // Several looks in the time, so that a late one does no harm; and not too many.
        interval = min(15_000, max(100, (limit ?? 60_000) / 4))
    }

    /// Who does not get on; empty when all is well.
    mutating func look(stages: [Stage], outputs: [Output], now: Int64) -> [Blockage] {
        var blockages: [Blockage] = []
        var seen: [String: (mark: UInt64, since: Int64)] = [:]
        for stage in stages where stage.mark & 1 == 1 {
            guard let before = marks[stage.name], before.mark == stage.mark else {
                seen[stage.name] = (stage.mark, now)
                continue
            }
            seen[stage.name] = before
            let duration = now - before.since
            if duration >= interval { blockages.append(Blockage(kind: .stage(stage.name), duration: duration)) }
        }
        marks = seen
        for output in outputs {
            let backlog = output.reason == nil ? output.backlog : 0
            let stuck = progress.note(output.name, acknowledged: output.settled, backlog: backlog, now: now)
            if let stuck { blockages.append(Blockage(kind: .output(output.name), duration: stuck)) }
        }
        return blockages
    }
}
