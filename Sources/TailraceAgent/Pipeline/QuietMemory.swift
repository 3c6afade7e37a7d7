internal import NIOCore

/// When memory that work took is to be given back: soon after the start, once more when what lay there at the start, which may
/// be much, has been read and sent, and whenever there was work and then none for a while.
struct QuietMemory {
    /// Ids of the spool; they move when there is work.
    struct Progress: Equatable {
        /// What the spool's next record gets.
        var next: UInt64
        /// The first that the spool still has to keep.
        var released: UInt64
    }

    enum Release {
        case nothing
        /// What only the start needed. Whoever is at work keeps what that takes: it would be fetched again at once.
        case start
        /// What work takes, too.
        case all
    }

    /// Records that are work enough: what a trickle takes again and again is not worth giving back.
    static let leastWork: UInt64 = 10_000

    private var looks = 0
    private var last = Progress(next: 0, released: 0)
    /// When memory was last given back.
    private var quiet = Progress(next: 0, released: 0)
    private var hasSettled = false

    /// Until the next look. Each wakes the agent up.
    var pause: TimeAmount { hasSettled ? .seconds(60) : .seconds(2) }

    /// Tells whether this is the moment, and for how much. Called after each `pause`.
    mutating func release(_ now: Progress) -> Release {
        defer {
            last = now
            looks += 1
        }
        if looks == 0 { return .start }
        guard last == now, !hasSettled || now.next - quiet.next >= Self.leastWork else { return .nothing }
        hasSettled = true
        quiet = now
        return .all
    }
}
