import Glibc
import TestSupport
import Testing

@testable import tailrace

/// Every rotation there is and kills of the agent, at once. `make torture` runs it in full: 60 seconds, 200 rotations, 10
/// kills; without the environment's asking it is a third of that.
@Suite(.serialized) struct TortureTests {
    @Test func rotationsOfEveryKindAndKillsLoseNothingAndDoubleNothing() async throws {
        let isFull = getenv("TAILRACE_TORTURE") != nil
        let generator = SeededGenerator.fresh("torture")
        let seed = getenv("TAILRACE_TORTURE_SEED").flatMap { UInt64(String(cString: $0)) } ?? generator.seed
        var hub: CrashHub?
        let installation = try Installation {
            let made = try CrashHub($0, idempotent: "always")
            hub = made
            return made
        }
        let plan =
            isFull
            ? Torture.Plan(seconds: 60, rotations: 200, kills: 10)
            : Torture.Plan(seconds: 20, rotations: 67, kills: 4)
        let torture = try Torture(plan, logs: installation.logs)
        try await torture.run(installation, seed: seed)
        var balance = torture.balance
        try await installation.settle(atLeast: balance.written - balance.window)
        try installation.stop()
        try hub?.forEachRecord { balance.add($0, source: $1) }
        print("torture, seed \(seed): \(torture.rotations) rotations (\(torture.rotationCounts)), \(plan.kills) kills")
        print(balance)
        if balance.lost + balance.duplicates + balance.misplaced > 0 {
            print(installation.rotationNotes.joined(separator: "\n"))
        }
        let comment = Comment(rawValue: "seed \(seed): \(balance)")
        #expect(balance.lost == 0, comment)
        #expect(balance.duplicates == 0, comment)
        #expect(balance.misplaced == 0, comment)
        #expect(balance.mislabelled == 0, comment)
        #expect(balance.foreign == 0, comment)
        #expect(torture.rotations >= plan.rotations)
    }

    @Test func theCheckerSeesWhatIsLostTwiceMisplacedMislabelledOrForeign() throws {
        let directory = TemporaryDirectory("torture-checker")
        let log = try TortureLog("w0", directory: directory.path)
        log.write(8)
        log.exclusively { state in
            state.window = [6, 7]
            state.beginGeneration("test")
        }
        func line(_ number: Int, _ source: String = "w0") -> [UInt8] {
            var bytes: [UInt8] = []
            NumberedLine.append(source: source, number: number, time: "x", to: &bytes)
            return bytes.dropLast()
        }
        var balance = TortureBalance([log])
        for (body, source) in [
            (line(0), log.path), (line(2), log.path), (line(1), log.path), (line(2), log.path), (line(3), "elsewhere"),
            (line(9), log.path), (line(0, "w1"), log.path), (Array(line(4).dropLast()), log.path), (line(6), log.path),
        ] {
            balance.add(body, source: source)
        }
        #expect(balance.written == 8)
        #expect(balance.lost == 2)
        #expect(balance.lostInWindow == 1)
        #expect(balance.duplicates == 1)
        #expect(balance.misplaced == 1)
        #expect(balance.mislabelled == 1)
        #expect(balance.foreign == 3)
        #expect("\(balance)".contains("lost: 2 lines from w0 line 4, generation 0, which ended by test"))
    }
}
