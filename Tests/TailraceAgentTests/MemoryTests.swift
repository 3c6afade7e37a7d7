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

    /// What inputs fill at the same time: as much as can be in use where they wait for more, and more where they cannot.
    @Test func inputsThatCannotWaitHaveMoreBatches() throws {
        func pool(_ inputs: String) throws -> (blocks: Int, bytes: Int) {
            let text = inputs + "\n" + ConfigurationTests.outputLines
            let pool = Agent.pool(for: try ConfigurationLoader.parse(Array(text.utf8), file: "t.toml"))
            return (pool.limit, pool.limit * pool.blockCapacity)
        }
        let file = "[input.app]\ntype = \"file\"\ninclude = [\"/var/log/app/*.log\"]\n"
        #expect(try pool(file) == (4, 4 << 20))
        #expect(try pool(file + "[input.journal]\ntype = \"journal\"").blocks == 4)
        #expect(try pool(file + "[input.net]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:5514\"]") == (8, 8 << 20))
        // Four of the longest lines find room.
        let long = try pool(file + "maximum_line = \"4MiB\"")
        #expect(long.blocks == 4)
        #expect(long.bytes > 16 << 20)
    }
}
