import Testing
import World

/// Spool, ledger and drain on a simulated disk, clock and service: thousands of short histories full of faults, each from
/// one seed. `TAILRACE_WORLD=SEED` runs one of them alone.
@Suite(.serialized) struct WorldTests {
    /// Seeds in which something was once wrong, with what it was.
    static let found: [UInt64] = [
        // A kill left frames in the page cache alone; the next run took them, and a power cut then took them.
        9, 34, 44,
        // So with the ledger's newest slot: it was taken for one that is on the disk, and the good one was written over.
        152,
        // A segment went when the ledger had only told the page cache why; after a power cut the drain passed over as many
        // records as the service had more than the ledger, and some of those were gone: others were passed over instead.
        144, 178,
        // Who made the spool's directory ended before its parent was synced, and nobody synced it later.
        289,
        // The spool could not be read again when a batch was refused: all of its records were given up.
        606,
        // A recovery had skipped ids, and what lay before them was acknowledged: the reader thought it had come too late.
        1532,
        // Ids that a recovery had skipped counted as records that had left the spool: what the service had was sent again.
        736_244_058_555,
    ]

    @Test(arguments: found) func worldsThatOnceWentWrongGoRight(_ seed: UInt64) {
        check([World.run(seed: seed)])
    }

    /// As many as `make test` has time for, or the one that is asked for. Half of them are the same each time, half are new.
    @Test func whateverHappensWhatWasPromisedArrives() {
        let seeds = WorldSeeds("TAILRACE_WORLD", eachTime: 1000)
        let results = World.run(seeds: seeds.all)
        check(results, seeds)
        // They were worth living in.
        guard !seeds.isOneAlone else { return }
        #expect(results.reduce(0) { $0 + $1.records } > 50_000)
        #expect(results.reduce(0) { $0 + $1.diskFailures } > 1000)
    }

    /// Storms in which something was once wrong, with what it was.
    static let foundInStorms: [UInt64] = [
        // What was sent by a new routing, which the ledger's disk did not know yet, was sent by the old one after a power cut.
        640_254_757_006,
        // A segment was begun and removed while the directory could not be synced; it came back in a power cut after the next
        // process had made records durable in its place.
        640_254_772_430, 640_254_782_652,
        // The directory could not be synced after a segment had become a spare, which became a segment; a power cut brought the
        // old name back beside the new one: two segments in one file.
        900_000_057_337,
    ]

    @Test(arguments: foundInStorms) func stormsThatOnceWentWrongGoRight(_ seed: UInt64) {
        check([World.run(seed: seed, kind: .storm)])
    }

    /// Troubles that are rare elsewhere, one upon the other: `TAILRACE_STORM=SEED` runs one of them alone.
    @Test func inAStormOfTroublesWhatWasPromisedArrives() {
        let seeds = WorldSeeds("TAILRACE_STORM", eachTime: 100)
        check(World.run(seeds: seeds.all, kind: .storm), seeds)
    }

    /// Some of the bytes; `make crash` takes them all.
    @Test func aSpoiledByteCostsItsFrameAlone() throws {
        let damage = try ByteDamage()
        #expect(Set(damage.places.map(\.file)).count == 3)
        // A stride that falls on every place of a word, and ends where the files end.
        for index in Array(stride(from: 0, to: damage.places.count, by: 37)) + damage.places.indices.suffix(3) {
            #expect(damage.check(damage.places[index]) == nil)
        }
    }

    @Test func aSeedIsAWorld() { checkThatSeedsAreWorlds(1...20) }
}
