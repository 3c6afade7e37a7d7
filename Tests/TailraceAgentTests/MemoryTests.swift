import CTailrace
import TestSupport
import Testing

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
}
