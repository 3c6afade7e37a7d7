import Glibc
import TestSupport
import Testing

@testable import tailrace

/// Every rotation there is and kills of the agent, at once. `make torture` runs it in full: 60 seconds, 200 rotations, 10
/// kills; without the environment's asking each kind comes twice, and two kills.
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
        installation.logLevel = "debug"
        let plan =
            isFull
            ? Torture.Plan(seconds: 60, rotations: 200, kills: 10)
            : Torture.Plan(seconds: 10, rotations: 38, kills: 2)
        let torture = try Torture(plan, logs: installation.logs)
        try installation.startService()
        try await torture.run(installation, seed: seed)
        var balance = torture.balance
        try await installation.settle(atLeast: balance.written - balance.window)
        try installation.stop()
        try hub?.forEachRecord { balance.add($0, source: $1) }
        print("torture, seed \(seed): \(torture.rotations) rotations (\(torture.rotationCounts)), \(plan.kills) kills")
        print(balance)
        balance.expectNothingWrong(seed: seed) { installation.notes(of: [".log", "started", "stopping"]) }
        #expect(torture.rotations >= plan.rotations)
    }

    /// The same against the tailer alone, without processes: a rotation every 50 milliseconds, a kill every half second.
    @Test func rotationsOfEveryKindAndKillsOfATailerLoseNothingAndDoubleNothing() async throws {
        let rounds = getenv("TAILRACE_TORTURE_ROUNDS").flatMap { Int(String(cString: $0)) }
        let count = rounds ?? (getenv("TAILRACE_TORTURE") == nil ? 1 : 5)
        let generator = SeededGenerator.fresh("torture of a tailer")
        let first = getenv("TAILRACE_TORTURE_SEED").flatMap { UInt64(String(cString: $0)) } ?? generator.seed
        for seed in first..<(first + UInt64(count)) {
            let directory = TemporaryDirectory("torture-tailer")
            let reader = TorturedTailer(logs: directory.path, seed: seed)
            let plan = Torture.Plan(seconds: 3, rotations: 57, kills: 6, lines: 300, longestPause: 40_000)
            let torture = try Torture(plan, logs: directory.path)
            try await torture.run(reader, seed: seed)
            var balance = torture.balance
            reader.settle(atLeast: balance.written - balance.window)
            reader.forEachRecord { balance.add($0, source: $1) }
            print("torture of a tailer, seed \(seed): \(torture.rotations) rotations; \(balance)")
            balance.expectNothingWrong(seed: seed) { reader.notes }
        }
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

extension TortureBalance {
    /// Every line once and in order; else a file tells what happened.
    fileprivate func expectNothingWrong(seed: UInt64, notes: () -> [Substring]) {
        if lost + duplicates + misplaced > 0 {
            let path = (access(".build", W_OK) == 0 ? ".build/" : "") + "torture-\(seed)-\(getpid()).txt"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            let text = "\(self)\n\(story)\n\(notes().joined(separator: "\n"))\n"
            _ = write(descriptor, text, text.utf8.count)
            close(descriptor)
            print("what the agents did: \(path)")
        }
        let comment = Comment(rawValue: "seed \(seed): \(self)")
        #expect(lost == 0, comment)
        #expect(duplicates == 0, comment)
        #expect(misplaced == 0, comment)
        #expect(mislabelled == 0, comment)
        #expect(foreign == 0, comment)
    }
}
