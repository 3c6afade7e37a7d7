import Testing
import World

/// The agent's own way to an event hub, from the spool to the bytes of AMQP, and the hub, on simulated disks, a clock and a
/// network: hundreds of short histories full of faults, each from one seed. `TAILRACE_WIRE_WORLD=SEED` runs one alone.
@Suite(.serialized) struct WireWorldTests {
    /// Seeds in which something was once wrong, with what it was.
    static let found: [UInt64] = [
        // What the service had was asked for once, and forgotten when the process ended before it had sent anything: a
        // service that counts anew under the next owner level told nothing of it to the next one.
        1023,
        // The first batch of a producer was refused for good, and the one that waited behind it went before its halves.
        1112,
        // The ledger could not be written, and the next attempt to connect took the owner level that was in memory alone.
        363,
        // A batch was sent just as the one before it failed to find a connection, and was stored in that one's place: the
        // next process then took the one that was never stored for the one that was.
        103_697,
        // A hub's connection watched a token that was answered when it was over.
        331,
    ]

    @Test(arguments: found) func wiredWorldsThatOnceWentWrongGoRight(_ seed: UInt64) {
        check([World.run(seed: seed, kind: .wire)])
    }

    @Test func whateverTheNetworkAndTheHubDoWhatWasPromisedArrives() {
        let seeds = WorldSeeds("TAILRACE_WIRE_WORLD", eachTime: 20)
        let results = World.run(seeds: seeds.all, kind: .wire)
        check(results, seeds)
        // They were worth living in.
        #expect(seeds.isOneAlone || results.reduce(0) { $0 + $1.records } > 1000)
    }

    /// `TAILRACE_WIRE_STORM=SEED` runs one of them alone.
    @Test func inAStormWithANetworkWhatWasPromisedArrives() {
        let seeds = WorldSeeds("TAILRACE_WIRE_STORM", eachTime: 6)
        check(World.run(seeds: seeds.all, kind: .wireStorm), seeds)
    }

    @Test func aSeedIsAWiredWorld() { checkThatSeedsAreWorlds(1...4, kind: .wire) }
}
