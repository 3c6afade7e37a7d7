import Testing
import World

/// The agent's own way to a Pulsar topic, from the spool to the bytes of the protocol, and the brokers, on a simulated disk,
/// clock and network: short histories full of faults, each from one seed. `TAILRACE_PULSAR_WORLD=SEED` runs one alone.
@Suite(.serialized) struct PulsarWorldTests {
    /// Seeds in which something was once wrong, with what it was.
    static let found: [UInt64] = [
        // What a topic will never take was sent again for ever.
        9, 27,
    ]

    @Test(arguments: found) func pulsarWorldsThatOnceWentWrongGoRight(_ seed: UInt64) {
        check([World.run(seed: seed, kind: .pulsar)])
    }

    @Test func whateverTheNetworkAndTheBrokersDoWhatWasPromisedArrives() {
        let seeds = WorldSeeds("TAILRACE_PULSAR_WORLD", eachTime: 20)
        let results = World.run(seeds: seeds.all, kind: .pulsar)
        check(results, seeds)
        // They were worth living in.
        #expect(seeds.isOneAlone || results.reduce(0) { $0 + $1.records } > 1000)
    }

    /// `TAILRACE_PULSAR_STORM=SEED` runs one of them alone.
    @Test func inAStormWithBrokersWhatWasPromisedArrives() {
        let seeds = WorldSeeds("TAILRACE_PULSAR_STORM", eachTime: 6)
        check(World.run(seeds: seeds.all, kind: .pulsarStorm), seeds)
    }

    @Test func aSeedIsAPulsarWorld() { checkThatSeedsAreWorlds(1...4, kind: .pulsar) }
}
