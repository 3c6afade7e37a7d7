import Glibc
import Synchronization
import World

/// `worlds [bytes | KIND] [--seeds N] [--seconds N] [--first SEED] [--seed SEED [--trace]]`: runs simulated
/// worlds on all processors, and tells what went wrong in them, and how fast they were. `bytes` spoils every byte of a spool,
/// in three ways; the kinds of worlds are those of `WorldKind`. Without one: all of them, one after the other; one seed alone is
/// a plain world then.
@main
struct Worlds {
    static func main() {
        hashAlike()
        var arguments = Arguments(CommandLine.arguments.dropFirst())
        let bytes = arguments.has("bytes")
        let kind = WorldKind.allCases.first { arguments.has($0.rawValue) }
        if let seed = arguments.number("--seed") {
            let result = World.run(seed: seed, kind: kind ?? .plain, prints: arguments.has("--trace"))
            report(result)
            exit(result.violations.isEmpty ? 0 : 1)
        }
        let seconds = arguments.number("--seconds").map { Double($0) } ?? .infinity
        let seeds = arguments.number("--seeds")
        let first = arguments.number("--first") ?? UInt64.random(in: 0...1 << 40)
        arguments.end()
        var isRight = bytes || kind == nil ? spoilBytes() : true
        for kind in kind.map({ [$0] }) ?? (bytes ? [] : WorldKind.allCases) {
            let standard: UInt64 = seconds.isFinite ? .max : kind == .plain ? 2000 : 500
            print("\(kind.rawValue) worlds from seed \(first)")
            isRight = run(kind, first: first, seeds: seeds ?? standard, seconds: seconds) && isRight
        }
        exit(isRight ? 0 : 1)
    }

    private static func run(_ kind: WorldKind, first: UInt64, seeds: UInt64, seconds: Double) -> Bool {
        let tally = Mutex(Tally())
        tellTheWorldsOfATrap(WorldThread.count)
        WorldThread.share(seeds, while: { tally.withLock { $0.elapsed } < seconds }) { number, job in
            running[job] = first &+ number
            let result = World.run(seed: first &+ number, kind: kind)
            tally.withLock { tally in
                report(result)
                tally.add(result)
                if tally.isTimeToTell { tally.tell() }
            }
        }
        return tally.withLock { tally in
            tally.tell()
            return tally.failed == 0
        }
    }

    private static func spoilBytes() -> Bool {
        let damage: ByteDamage
        do {
            damage = try ByteDamage()
        } catch {
            print("no spool to spoil: \(error)")
            return false
        }
        let failed = Mutex(0)
        let beginning = ContinuousClock.now
        WorldThread.share(UInt64(damage.places.count)) { number, _ in
            guard let difference = damage.check(damage.places[Int(number)]) else { return }
            failed.withLock {
                $0 += 1
                if $0 <= 20 { print(difference) }
            }
        }
        let seconds = Int(beginning.duration(to: .now) / .seconds(1))
        return failed.withLock {
            print("\(damage.places.count) spools with a byte flipped, zeroed or cut off, \($0) failed; \(seconds) s")
            return $0 == 0
        }
    }

    /// Begins anew with the hashing that is the same in each process, as `Tests/run` does: in what order dictionaries are gone
    /// through would else be another thing that a world depends on, and its seed would not tell all.
    private static func hashAlike() {
        guard getenv("SWIFT_DETERMINISTIC_HASHING") == nil else { return }
        setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
        execv("/proc/self/exe", CommandLine.unsafeArgv)
    }

    private static func report(_ result: WorldResult) {
        for violation in result.violations { print("  \(violation)") }
        guard !result.violations.isEmpty else { return }
        print(result.command)
        fflush(nil)
    }

    /// The worlds that run, for who looks into a trap.
    nonisolated(unsafe) private static var running = UnsafeMutableBufferPointer<UInt64>(start: nil, count: 0)

    /// A broken invariant traps: tells in which of these worlds, before the process ends. Run alone, one of them shows where.
    private static func tellTheWorldsOfATrap(_ jobs: Int) {
        running = .allocate(capacity: jobs)
        running.initialize(repeating: 0)
        for number in [SIGILL, SIGTRAP, SIGABRT] {
            signal(number) { number in
                let message = "a trap in one of these worlds (make crash KIND=... SEED=...): \(Array(Worlds.running))\n"
                _ = message.withCString { write(STDERR_FILENO, $0, strlen($0)) }
                signal(number, SIG_DFL)
            }
        }
    }
}
