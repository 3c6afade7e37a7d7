import Glibc
import Synchronization
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
        check(World.run(seed: seed, isWired: true))
    }

    /// As many as `make test` has time for, or the one that is asked for. Half of them are the same each time, half are new.
    @Test func whateverTheNetworkAndTheHubDoWhatWasPromisedArrives() {
        if let seed = getenv("TAILRACE_WIRE_WORLD").flatMap({ UInt64(String(cString: $0)) }) {
            return check(World.run(seed: seed, isWired: true))
        }
        let fresh = UInt64.random(in: 1 << 20...1 << 40)
        let seeds: [UInt64] = Array(1...20) + Array(fresh..<(fresh + 20))
        let next = Atomic<Int>(0)
        let results = Mutex<[WorldResult]>([])
        let threads = (0..<max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))).map { _ in
            WorldThread {
                while true {
                    let index = next.add(1, ordering: .relaxed).oldValue
                    guard index < seeds.count else { return }
                    let result = World.run(seed: seeds[index], isWired: true)
                    results.withLock { $0.append(result) }
                }
            }
        }
        for thread in threads { thread.join() }
        for result in results.withLock({ $0 }) { check(result) }
        #expect(results.withLock { $0.count } == seeds.count)
        // They were worth living in.
        #expect(results.withLock { $0.reduce(0) { $0 + $1.records } } > 1000)
    }

    @Test func aSeedIsAWiredWorld() {
        for seed: UInt64 in 1...4 {
            let first = World.run(seed: seed, isWired: true)
            let second = World.run(seed: seed, isWired: true)
            #expect(first.hash == second.hash && first.steps == second.steps, "seed \(seed)")
        }
    }

    private func check(_ result: WorldResult) {
        #expect(result.violations == [], "\(result.command)")
    }
}
