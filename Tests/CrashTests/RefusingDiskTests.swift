import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import tailrace

/// The real agent on real file systems that let it write no more: it says so, goes on when they let it, and loses nothing.
@Suite(.serialized) struct RefusingDiskTests {
    /// Everything arrived once, and the spool is whole.
    private func checkBalance(_ installation: Installation, _ log: LongLog) throws {
        let balance = try installation.balance(written: [(LongLog.source, log.lines)])
        print("\(log.lines) lines: \(balance.duplicates) duplicates, \(balance.lost) lost")
        #expect(balance.closes)
        #expect(balance.duplicates == 0)
        #expect(try StoredSpool(directory: installation.spool, everything: true).damage.isEmpty)
    }

    private func install(_ state: String, maximum: String) throws -> Installation {
        let installation = try Installation(
            state: state, spool: "maximum_size = \"\(maximum)\"\nminimum_free = 0"
        ) { try CrashHub($0, idempotent: "always") }
        try installation.startService()
        return installation
    }

    /// What is there is written in place, or nothing could be sent either: the ledger needs room to note it.
    @Test func aQuotaThatIsUsedUpCostsNothingAndNeedsNoRestart() async throws {
        let directory = TemporaryDirectory()
        let volume = try Subvolume(directory)
        try volume.limit(mebibytes: 14)
        // Four segments of 4 MiB at most.
        let installation = try install(volume("state"), maximum: "16MiB")
        try installation.startAgent()
        let log = LongLog(installation)
        try await installation.reach("started") { $0.contains("\"state\":\"connected\"") }
        for round in 0..<2 {
            installation.killService()
            log.append(mebibytes: 18)
            try await installation.reach("round \(round): used up") {
                $0.contains("quota exceeded; free some space, or raise the quota")
            }
            // Either the quota is raised, or what was stored is sent, and its segments' space is used again.
            if round == 0 {
                try volume.limit(mebibytes: 64)
                try await installation.reach("raised") { !$0.isEmpty && !$0.contains("quota exceeded") }
            }
            try installation.startService()
            try await installation.settle(lines: log.lines)
            try volume.limit(mebibytes: 14)
        }
        try checkBalance(installation, log)
    }

    @Test func aFileSystemThatIsMadeReadOnlyForAWhileCostsNothingAndNeedsNoRestart() async throws {
        let directory = TemporaryDirectory()
        let volume = try Subvolume(directory)
        let installation = try install(volume("state"), maximum: "32MiB")
        try installation.startAgent()
        let log = LongLog(installation)
        try await installation.reach("started") { $0.contains("\"state\":\"connected\"") }
        for round in 0..<2 {
            // Without a service the segments stay, and more are wanted.
            if round == 0 { installation.killService() }
            try volume.setReadOnly(true)
            log.append(mebibytes: 20)
            try await installation.reach("round \(round): read-only") {
                $0.contains("Read-only file system; mount its file system for writing")
            }
            try volume.setReadOnly(false)
            try await installation.reach("round \(round): can be written") { $0.contains("\"failure\":null") }
            if round == 0 { try installation.startService() }
            try await installation.settle(lines: log.lines)
        }
        try checkBalance(installation, log)
    }

    /// As a disk's error does with Debian's usual setting: the kernel lets nothing be written any more until the file system
    /// was taken away, checked and mounted again. The agent cannot be spared a restart, as its files are of the broken one.
    @Test func aFileSystemThatBreaksDownUnderTheAgentLosesNothing() async throws {
        let directory = TemporaryDirectory()
        let fileSystem = try LoopFileSystem(directory, mebibytes: 64)
        let installation = try install(fileSystem("state"), maximum: "32MiB")
        try installation.startAgent()
        let log = LongLog(installation)
        log.append(mebibytes: 3)
        try await installation.settle(lines: log.lines)
        try fileSystem.breakDown()
        log.append(mebibytes: 9)
        try await installation.reach("broken") {
            $0.contains("Read-only file system; mount its file system for writing")
        }
        // It stops in time with a disk that takes nothing.
        #expect(installation.agent?.stop(seconds: 30) == true, "\(installation.lastWords)")
        try fileSystem.repair()
        try installation.startAgent()
        try await installation.settle(lines: log.lines)
        try checkBalance(installation, log)
    }
}
