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

    /// The looks, from 0 on, at which all memory is given back, for what the spool's next id and its floor are at each.
    private static func releases(_ states: [(UInt64, UInt64)], _ memory: inout QuietMemory) -> [Int] {
        states.indices.filter { memory.release(.init(next: states[$0].0, released: states[$0].1)) == .all }
    }

    /// A start that has much to read takes longer than the first look.
    @Test func memoryOfTheStartIsReleasedSoonAndOnceMoreWhenAllIsSent() {
        var memory = QuietMemory()
        // What work takes would be fetched again at once.
        #expect(memory.release(.init(next: 0, released: 0)) == .start)
        #expect(Self.releases([(50, 10), (90, 60), (90, 90)], &memory) == [])
        #expect(memory.pause == .seconds(2))
        #expect(Self.releases([(90, 90)], &memory) == [0])
        #expect(memory.pause == .seconds(60))
    }

    /// Later it is given back when there was much to do and then nothing from one look to the next, once each time.
    @Test func memoryIsReleasedWhenWorkIsOver() {
        var memory = QuietMemory()
        _ = Self.releases([(0, 0), (0, 0)], &memory)
        let much = QuietMemory.leastWork
        #expect(Self.releases([(0, 0), (much, 0), (much, much), (much, much), (much, much)], &memory) == [3])
        // Trickles with pauses add up to it.
        #expect(
            Self.releases([(much + 1, much), (much + 1, much), (2 * much - 1, much), (2 * much - 1, much)], &memory)
                == [])
        #expect(Self.releases([(2 * much, much), (2 * much, much)], &memory) == [1])
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
