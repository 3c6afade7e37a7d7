import TestSupport
import Testing

@testable import tailrace

extension Installation {
    /// Who is killed at once.
    enum Victims: CaseIterable {
        case agent, service, both

        static func random(using generator: inout SeededGenerator) -> Victims {
            allCases.randomElement(using: &generator) ?? .both
        }

        var hasAgent: Bool { self != .service }
        var hasService: Bool { self != .agent }
    }

    /// Writes lines while processes are killed and started again; then the balance.
    ///
    /// - Parameter victims: chosen for each kill, counted from 0.
    func balance(
        after kills: Int, lines: Int, perSecond rate: Int, using generator: inout SeededGenerator,
        victims: (_ kill: Int, inout SeededGenerator) -> Victims
    ) async throws -> LineBalance {
        try startService()
        try startAgent()
        var plan = LogWriter.Plan(directory: logs)
        plan.files = 6
        plan.linesPerSecond = rate
        plan.maximumLines = lines
        plan.rotateBytes = 1 << 20
        let writer = LogWriter(plan)
        let thread = WriterThread(writer)
        for kill in 0..<kills {
            try await pause(.random(in: 50_000...1_000_000, using: &generator))
            let victims = victims(kill, &generator)
            if victims.hasService { killService() }
            if victims == .both { try await pause(.random(in: 0...50_000, using: &generator)) }
            if victims.hasAgent { killAgent() }
            if Bool.random(using: &generator) { try await pause(.random(in: 0...200_000, using: &generator)) }
            // Which of the two is there first is left to chance.
            let agentFirst = Bool.random(using: &generator)
            if victims.hasAgent, agentFirst { try startAgent() }
            if victims.hasService { try startService() }
            if victims.hasAgent, !agentFirst { try startAgent() }
        }
        while !writer.isDone { try await pause(10_000) }
        thread.stop()
        #expect(writer.problem == nil)
        #expect(writer.linesWritten == lines)
        try await settle(lines: lines)
        return try balance(written: writer.written)
    }

    /// Microseconds; leaves the thread to other tests.
    private func pause(_ microseconds: Int64) async throws {
        try await Task.sleep(for: .microseconds(microseconds))
    }
}
