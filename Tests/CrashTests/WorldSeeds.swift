import Glibc
import Testing
import World

/// The worlds that a test runs: as many as `make test` has time for, half of them the same each time and half new; or the
/// one that is asked for.
struct WorldSeeds {
    let all: [UInt64]
    /// One was asked for.
    let isOneAlone: Bool

    /// - Parameters:
    ///   - variable: of the environment, by which one is asked for.
    ///   - count: of those that are the same each time; as many are new.
    init(_ variable: String, eachTime count: UInt64) {
        if let seed = getenv(variable).flatMap({ UInt64(String(cString: $0)) }) {
            all = [seed]
            isOneAlone = true
        } else {
            let fresh = UInt64.random(in: 1 << 20...1 << 40)
            all = Array(1...count) + Array(fresh..<(fresh + count))
            isOneAlone = false
        }
    }
}

/// Nothing was wrong in any of them.
func check(_ results: [WorldResult], _ seeds: WorldSeeds? = nil) {
    for result in results { #expect(result.violations == [], "\(result.command)") }
    if let seeds { #expect(results.count == seeds.all.count) }
}

func checkThatSeedsAreWorlds(_ seeds: ClosedRange<UInt64>, kind: WorldKind = .plain) {
    for seed in seeds {
        let first = World.run(seed: seed, kind: kind)
        let second = World.run(seed: seed, kind: kind)
        #expect(first.hash == second.hash && first.steps == second.steps, "seed \(seed)")
    }
}
