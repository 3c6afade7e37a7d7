import Glibc
import TailraceSpool
import TestSupport

/// All that a seed decides before a world begins.
struct WorldPlan {
    struct Source {
        /// Has a position and can be read again; otherwise what is not taken at once is gone.
        var isDelayable: Bool
        /// Every so many records one that the service refuses for good; 0: none.
        var poisonEvery: Int
    }

    /// One process, from its start to its end.
    struct Life {
        enum End { case kill, powerCut, stop }
        var steps: Int
        var end: End
        /// A kill or power cut comes in the middle of the call with this number, counted from the start.
        var endsAtCall: Int?
        var trouble: DiskTrouble
        /// Steps with trouble.
        var troubled: Range<Int>
        /// Batches that inputs bring.
        var batches: Int
        var manners: SimulatedService.Manners
        /// At a step the service gets so many partitions more; at 0 before the process starts.
        var growth: (step: Int, partitions: Int)?
        /// Of a service behind a network.
        var wire = WireManners()
    }

    var kind: SimulatedService.Kind
    var partitions: Int
    var sources: [Source]
    var lives: [Life]
    var largestBody: Int
    var batchLimit: Int
    var segmentSize: Int
    var spareLimit: Int
    var queueLimit: Int
    var groupByteLimit: Int
    var sync: SyncPolicy
    var window: Int
    /// Bytes per second; 0: nothing is read in the background.
    var verificationRate: Int
    /// How likely others get a turn in the middle of a call, in percent.
    var interleaving: Int
    /// The service is behind a network.
    var isWired = false

    init(_ random: inout SeededGenerator) {
        func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
        func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &random)] }

        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3: kind = .plain
        case 3..<7:
            kind = .numbered(
                start: chance(50) ? -1 : .max - Int32.random(in: 0..<40, using: &random), countsAnew: chance(50))
        default: kind = .deduplicating
        }
        partitions = Int.random(in: 1...3, using: &random)
        let hasPoison = chance(25)
        sources = (0..<Int.random(in: 1...4, using: &random)).map { _ in
            Source(
                isDelayable: chance(75),
                poisonEvery: hasPoison && chance(50) ? Int.random(in: 3...20, using: &random) : 0)
        }
        largestBody = pick([10, 100, 600, 2000])
        batchLimit = pick([400, 1000, 4000, 100_000])
        segmentSize = pick([4 << 10, 8 << 10, 16 << 10])
        spareLimit = Int.random(in: 0...2, using: &random)
        queueLimit = pick([1, 4, 1024])
        groupByteLimit = pick([1, 2000, 64 << 10])
        sync = chance(80) ? .always : .interval(.milliseconds(Int.random(in: 1...200, using: &random)))
        window = kind.isNumbered ? pick([1, 2, 4]) : 1
        interleaving = pick([0, 5, 30, 60])
        // No dice of its own, which would change all that is thrown after it.
        verificationRate = partitions == 2 ? 0 : 256 << 10
        let badDisk = pick([0, 30, 70])
        let badService = pick([0, 40, 80])
        lives = []
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            let steps = Int.random(in: 5...200, using: &random)
            var life = Life(
                steps: steps, end: pick([.kill, .powerCut, .powerCut, .stop]), endsAtCall: nil, trouble: DiskTrouble(),
                troubled: 0..<0, batches: Int.random(in: 1...25, using: &random), manners: SimulatedService.Manners())
            if life.end != .stop, chance(60) { life.endsAtCall = Int.random(in: 1...250, using: &random) }
            if chance(badDisk) {
                life.trouble = Self.trouble(&random)
                let begin = chance(20) ? 0 : Int.random(in: 0..<steps, using: &random)
                life.troubled = begin..<Int.random(in: begin...steps, using: &random)
            }
            if chance(badService) { life.manners = Self.manners(partitions, &random) }
            lives.append(life)
        }
    }

    /// Up to a dozen lives more. The disk is in trouble in every life, for a part of it, and few ends are peaceful.
    mutating func addStorm(_ random: inout SeededGenerator) {
        for _ in 0..<Int.random(in: 2...12, using: &random) {
            var life = lives[Int.random(in: 0..<lives.count, using: &random)]
            life.steps = Int.random(in: 5...100, using: &random)
            life.batches = Int.random(in: 1...10, using: &random)
            life.end = Bool.random(using: &random) ? .powerCut : .kill
            life.growth = nil
            lives.append(life)
        }
        for index in lives.indices {
            if lives[index].end != .stop { lives[index].endsAtCall = Int.random(in: 1...120, using: &random) }
            lives[index].trouble = Self.trouble(&random)
            let begin = Bool.random(using: &random) ? 0 : Int.random(in: 0..<lives[index].steps, using: &random)
            lives[index].troubled = begin..<Int.random(in: begin...lives[index].steps, using: &random)
        }
    }

    /// In every third world the service gets more partitions, now and then.
    mutating func addGrowth(_ random: inout SeededGenerator) {
        guard Int.random(in: 0..<3, using: &random) == 0 else { return }
        for index in lives.indices where Bool.random(using: &random) {
            let step = Bool.random(using: &random) ? 0 : Int.random(in: 0..<lives[index].steps, using: &random)
            lives[index].growth = (step, Int.random(in: 1...2, using: &random))
        }
    }

    private static func trouble(_ random: inout SeededGenerator) -> DiskTrouble {
        var trouble = DiskTrouble()
        let kinds: [([SpoolFileOperation], CInt)] = [
            ([.preallocate, .create, .write, .makeDirectory, .link], ENOSPC),
            ([.preallocate, .create, .write], EDQUOT),
            (DiskTrouble.changes, EROFS), ([.sync], EIO), ([.sync, .syncDirectory], EIO), ([.write, .sync], EIO),
            (DiskTrouble.changes, EIO), ([.link, .unlink, .rename], EIO), ([.open, .list], EMFILE),
        ]
        (trouble.operations, trouble.code) = kinds[Int.random(in: 0..<kinds.count, using: &random)]
        trouble.chance = [20, 200, 1000][Int.random(in: 0..<3, using: &random)]
        if Bool.random(using: &random) { trouble.shortCounts = 300 }
        if Bool.random(using: &random) { trouble.interruptions = 200 }
        return trouble
    }

    private static func manners(_ partitions: Int, _ random: inout SeededGenerator) -> SimulatedService.Manners {
        var manners = SimulatedService.Manners()
        manners.refusals = [0, 100, 500][Int.random(in: 0..<3, using: &random)]
        manners.throttling = [0, 0, 100][Int.random(in: 0..<3, using: &random)]
        manners.losses = [0, 100, 400][Int.random(in: 0..<3, using: &random)]
        manners.cuts = [0, 50, 200][Int.random(in: 0..<3, using: &random)]
        manners.delay = [0, 1_000_000, 50_000_000][Int.random(in: 0..<3, using: &random)]
        if Bool.random(using: &random) { manners.slow = Int.random(in: 0..<partitions, using: &random) }
        return manners
    }
}

extension SimulatedService.Kind {
    var isNumbered: Bool { if case .numbered = self { true } else { false } }
}
