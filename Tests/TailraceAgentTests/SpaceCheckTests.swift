import TailraceSpool
import Testing

@testable import TailraceAgent

/// What is said of a disk's room, and of the tables of the kernel.
@Suite struct SpaceCheckTests {
    private func find(free: UInt64, used: UInt64, limit: UInt64, minimumFree: UInt64? = nil) -> Finding? {
        let findings = Findings()
        var settings = SpoolSettings()
        settings.maximumSize = limit
        settings.minimumFree = minimumFree
        SpaceCheck.tell(DiskSpace(total: 100 << 30, free: free), at: "/s", used: used, settings, findings)
        return findings.all.first
    }

    @Test func aDiskWithRoomForTheWholeSpoolIsWell() {
        #expect(find(free: 11 << 30, used: 0, limit: 10 << 30)?.level == .ok)
        // What the spool has already it does not need once more.
        #expect(find(free: 1 << 30, used: 10 << 30, limit: 10 << 30)?.level == .ok)
    }

    @Test func aDiskThatIsFullOrWillBeIsNot() {
        #expect(find(free: 9 << 30, used: 0, limit: 10 << 30)?.level == .warning)
        #expect(find(free: 256 << 20, used: 0, limit: 10 << 30)?.level == .error)
        #expect(find(free: 0, used: 0, limit: 10 << 30, minimumFree: 0)?.level == .error)
    }

    @Test func theKernelsTablesAreUnderstood() {
        // Of a machine.
        let udp: Substring =
            "  514: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000   997        0 28713 2 0000 0"
        #expect(
            SocketTable.parse(udp, port: 5514, listening: false) == SocketTable.Socket(inode: 28713, user: 997))
        #expect(SocketTable.parse(udp, port: 5515, listening: false) == nil)
        #expect(SocketTable.parse(udp, port: 5514, listening: true) == nil)
        for line in ["", "a", "  1: 2 3 4 5 6 7 8 9 10 11", "1: :158A x 0A x x x -1 x -1 x"] as [Substring] {
            #expect(SocketTable.parse(line, port: 5514, listening: false) == nil)
        }
    }

    @Test func aFindingIsOneLineThatSaysWhatToDo() {
        let findings = Findings()
        findings.error("output hub", "h:1", "it is away; look for it; then start it")
        #expect(findings.all.first?.message == "it is away; look for it")
        #expect(findings.all.first?.line == "error   output hub: h:1: it is away; look for it; then start it")
        findings.ok("disk", "", "well")
        #expect(findings.all.last?.line == "ok      disk: well")
        #expect(findings.errors == 1 && findings.warnings == 0)
    }
}
