import CTailrace
import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct MemoryTests {
    private static func residentFilePages() -> Int {
        let line = ChildProcess.text("/proc/self/status").split(separator: "\n").first { $0.hasPrefix("RssFile") }
        return Int(line?.split { !$0.isNumber }.first ?? "") ?? 0
    }

    @Test func startupPagesGoAndTheProgramGoesOn() {
        let before = Self.residentFilePages()
        tailrace_trim_memory()
        tailrace_release_startup_pages()
        let after = Self.residentFilePages()
        #expect(before > 0)
        #expect(after < before)
        // Constants, relocated tables and code are all still there.
        #expect((0..<1000).map { "\($0)" }.joined().count == 2890)
        #expect("a-b-c".split(separator: "-").map { $0.uppercased() } == ["A", "B", "C"])
    }

    /// A start that has much to read takes longer than the first look.
    @Test func memoryOfTheStartIsReleasedSoonAndOnceMoreWhenAllIsSent() {
        var memory = StartMemory()
        var released: [Int] = []
        for (look, state) in [(1, 0), (50, 10), (90, 60), (90, 90), (90, 90), (90, 90)].enumerated()
        where !memory.isSettled {
            if memory.isToBeReleased(next: UInt64(state.0), released: UInt64(state.1)) { released.append(look) }
        }
        #expect(released == [0, 4])
        #expect(memory.isSettled)
    }
}
