import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import tailrace

/// The real agent on a small file system that others fill and free: it goes on by itself, and loses nothing.
@Suite(.serialized) struct FullDiskTests {
    /// Somebody else's file, which takes all that is left.
    private static func fill(_ path: String) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(file) }
        for size in [64 << 10, 1024] {
            let zeros = [UInt8](repeating: 0, count: size)
            while write(file, zeros, size) > 0 {}
        }
    }

    /// `make fills` has twenty.
    private static let fills =
        getenv("TAILRACE_FILLS").flatMap { Int(String(cString: $0)) }.flatMap { $0 > 0 ? $0 : nil } ?? 6

    @Test func aFileSystemThatIsFilledAndFreedAgainAndAgainCostsNothingAndNeedsNoRestart() async throws {
        let directory = TemporaryDirectory()
        let fileSystem = try LoopFileSystem(directory, mebibytes: 64)
        // Four segments of 4 MiB at most, of which three may be there already.
        let installation = try Installation(
            state: fileSystem("state"), spool: "maximum_size = \"16MiB\"\nminimum_free = 0"
        ) { try CrashHub($0, idempotent: "always") }
        try installation.startService()
        try installation.startAgent()
        let log = LongLog(installation)
        try await installation.reach("started") { $0.contains("\"state\":\"connected\"") }
        for round in 0..<Self.fills {
            installation.killService()
            Self.fill(fileSystem("filler"))
            log.append(mebibytes: 13)
            try await installation.reach("round \(round): full") { $0.contains("\"no space: ") }
            // Either somebody makes room, or what was stored is sent and its segments are used again.
            if round % 2 == 0 {
                unlink(fileSystem("filler"))
                try await installation.reach("round \(round): freed") {
                    $0.contains("\"failure\":") && !$0.contains("\"no space: ")
                }
                try installation.startService()
            } else {
                try installation.startService()
            }
            try await installation.settle(lines: log.lines)
            unlink(fileSystem("filler"))
        }
        let status = installation.statusText
        #expect(status.contains("\"quarantined_records\":0") && status.contains("\"failure\":null"))
        let balance = try installation.balance(written: [(LongLog.source, log.lines)])
        print("\(log.lines) lines, \(Self.fills) times full: \(balance.duplicates) duplicates, \(balance.lost) lost")
        #expect(balance.closes)
        #expect(balance.duplicates == 0)
        #expect(try StoredSpool(directory: fileSystem("state/spool"), everything: true).damage.isEmpty)
    }
}
