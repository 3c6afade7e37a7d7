import Glibc
import TestSupport
import Testing

@testable import tailrace

/// The real command, killed with SIGKILL: nothing may be lost, and what is first of a source must come in order.
@Suite(.serialized) struct CrashTests {
    /// `make kills` has more of them.
    private static let kills =
        getenv("TAILRACE_KILLS").flatMap { Int(String(cString: $0)) }.flatMap { $0 > 0 ? $0 : nil } ?? 20

    /// Four partitions. One in five kills is the hub's too.
    @Test(arguments: ["always", "never"])
    func killsOfTheAgentAndSomeOfTheHubLoseNothing(idempotent: String) async throws {
        var generator = SeededGenerator.fresh("kills")
        let installation = try Installation { try CrashHub($0, idempotent: idempotent) }
        let (kills, lines) = (Self.kills, Self.kills * 12_000)
        let balance = try await installation.balance(
            after: kills, lines: lines, perSecond: 15_000, using: &generator
        ) { kill, _ in
            kill % 5 == 2 ? .both : .agent
        }
        for note in installation.recoveryNotes { print(note) }
        print(
            "\(lines) lines, \(kills) kills, idempotent \(idempotent): \(balance.lost) lost, \(balance.duplicates) duplicates,"
                + " \(balance.misplaced) out of order")
        // With numbers every line is there once; without them, what was in flight may be there twice.
        if idempotent == "always" { #expect(balance.duplicates == 0, "seed \(generator.seed)") }
        #expect(balance.lost == 0, "seed \(generator.seed)")
        #expect(balance.misplaced == 0, "seed \(generator.seed)")
        #expect(balance.foreign == 0, "seed \(generator.seed)")
    }

    /// The broker deduplicates, and cuts connections and producers on its own account too.
    @Test(arguments: ["none", "zlib"])
    func fiftyKillsOfAgentAndPulsarBrokerStoreEveryLineOnce(compression: String) async throws {
        var generator = SeededGenerator.fresh("fifty kills")
        let faults = ["--faults-every", "40", "--seed", "\(generator.seed % 1_000_000)"]
        let installation = try Installation { try CrashBroker($0, options: faults, compression: compression) }
        let balance = try await installation.balance(after: 50, lines: 100_000, perSecond: 4_000, using: &generator) {
            _, generator in
            .random(using: &generator)
        }
        for note in installation.recoveryNotes { print(note) }
        print("100,000 lines, 50 kills of agent and broker: \(balance.duplicates) duplicates, \(balance.lost) lost")
        #expect(balance.duplicates == 0, "seed \(generator.seed)")
        #expect(balance.lost == 0, "seed \(generator.seed)")
        #expect(balance.misplaced == 0, "seed \(generator.seed)")
        #expect(balance.foreign == 0, "seed \(generator.seed)")
    }

    @Test func anAgentWithoutItsHubKeepsEverythingUntilItComes() async throws {
        let installation = try Installation { try CrashHub($0, idempotent: "auto") }
        try installation.startService()
        installation.killService()
        try installation.startAgent()
        var plan = LogWriter.Plan(directory: installation.logs)
        plan.files = 3
        plan.linesPerSecond = 0
        plan.maximumLines = 20_000
        let writer = LogWriter(plan)
        writer.run()
        // Everything is in the spool before the hub is there; a kill does not change that.
        for _ in 0..<600 where (installation.status?.spooled ?? 0) < 20_000 {
            try await pause(50_000)
        }
        #expect(installation.status?.acknowledged == 0)
        installation.killAgent()
        try installation.startAgent()
        try installation.startService()
        try await installation.settle(lines: 20_000)
        let balance = try installation.balance(written: writer.written)
        #expect(balance.closes)
        #expect(balance.duplicates == 0)
    }

    @Test func theCheckerSeesWhatIsLostDuplicatedMisplacedOrForeign() {
        func line(_ number: Int, _ source: String = "a") -> [UInt8] {
            var bytes: [UInt8] = []
            NumberedLine.append(source: source, number: number, time: "2026-01-01T00:00:00.000Z", to: &bytes)
            return bytes.dropLast()
        }
        var balance = LineBalance(written: [("a", 5), ("b", 1)])
        for bytes in [
            line(0), line(2), line(1), line(2), line(0, "b"), line(9), line(0, "c"), Array(line(3).dropLast()),
        ] {
            bytes.withUnsafeBytes { balance.add($0) }
        }
        #expect(balance.lost == 2)
        #expect(balance.duplicates == 1)
        #expect(balance.misplaced == 1)
        #expect(balance.foreign == 3)
        #expect(!balance.closes)
    }

    /// Microseconds; leaves the thread to other tests.
    private func pause(_ microseconds: Int64) async throws {
        try await Task.sleep(for: .microseconds(microseconds))
    }
}
