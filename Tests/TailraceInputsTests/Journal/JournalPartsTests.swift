import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// Cursors, positions, numbers, arguments: the parts without a journal.
@Suite struct JournalPartsTests {
    private func cursor(_ text: String) -> JournalCursor? {
        Array(text.utf8).withUnsafeBytes { JournalCursor($0) }
    }

    @Test func cursorsAreRead() throws {
        let text =
            "s=0036eae96bc14a8a86e9471d89ef430f;i=16e;b=87d0a5c798c5408687b3430c5b502862;m=85e68aaaf;"
            + "t=660cfb6695c65;x=8ed7f86a74646927"
        let known = try #require(cursor(text))
        #expect(known.sequenceID == JournalCursor.ID(high: 0x0036_eae9_6bc1_4a8a, low: 0x86e9_471d_89ef_430f))
        #expect(known.sequence == 0x16e)
        #expect(known.realtime == 0x660cfb6695c65)
        #expect(known.hash == 0x8ed7_f86a_7464_6927)
        for wrong in [
            "", "garbage", "s=1", "s=;i=1;b=1;m=1;t=1;x=1", "s=1;i=1;b=1;m=1;t=1", "s=1;s=1;b=1;m=1;t=1;x=1",
            "s=1;i=11111111111111111;b=1;m=1;t=1;x=1", "s=1;i=1;b=1;m=1;t=1;x=G", text + ";x=1", text + "\n",
            String(repeating: "s", count: 300),
        ] { #expect(cursor(wrong) == nil, "\(wrong)") }
    }

    /// The same entry after journald has moved it from memory to disk: another journal, another number.
    @Test func anEntryIsKnownAgainByItsTimeAndHash() throws {
        let first = try #require(cursor(JournalExport.cursor(5)))
        let moved = try #require(cursor(JournalExport.cursor(5, sequenceID: "ff")))
        let next = try #require(cursor(JournalExport.cursor(6)))
        let other = try #require(cursor(JournalExport.cursor(5, sequenceID: "ff", hash: 1)))
        #expect(moved.isSameEntry(as: first) && moved.isUpTo(first))
        #expect(!next.isSameEntry(as: first) && !next.isUpTo(first) && first.isUpTo(next))
        #expect(!other.isSameEntry(as: first) && !other.isUpTo(first))
    }

    @Test func positionsComeBackAsTheyWere() throws {
        let text = Array(JournalExport.cursor(1).utf8)
        for kind in [JournalPosition.Kind.after, .at, .head] {
            let position = JournalPosition(kind: kind, realtime: 0x1234_5678_9ABC_DEF0, cursor: text)
            #expect(JournalPosition(position.value) == position)
        }
        #expect(JournalPosition([]) == nil)
        #expect(JournalPosition([2] + JournalPosition.head.value.dropFirst()) == nil)
        #expect(JournalPosition([1, 9] + JournalPosition.head.value.dropFirst(2)) == nil)
        let key = JournalPosition.key(input: "a", journal: "journal")
        #expect(key != JournalPosition.key(input: "a", journal: "journal:x"))
        #expect(key != JournalPosition.key(input: "b", journal: "journal"))
    }

    @Test func missingNumbersAreCountedPerJournal() throws {
        var sequence = JournalSequence()
        func note(_ number: Int, _ id: String = JournalExport.sequenceID) throws -> UInt64 {
            sequence.note(try #require(cursor(JournalExport.cursor(number, sequenceID: id))))
        }
        #expect(try note(10) == 0)
        #expect(try note(11) == 0)
        #expect(try note(100, "aa") == 0)
        #expect(try note(15) == 3)
        #expect(try note(12) == 0)
        #expect(try note(16) == 0)
        #expect(try note(102, "aa") == 1)
        // More journals than are followed: the one longest not seen is forgotten, the others are not.
        for number in 0..<(JournalSequence.maximumJournals - 1) { _ = try note(1, "b\(number)") }
        #expect(try note(1000) == 0)
        #expect(try note(3, "b62") == 1)
    }

    @Test func noSettingBecomesAnOption() {
        var configuration = JournalConfiguration(name: "j")
        configuration.units = ["--output=json"]
        configuration.identifiers = ["-f", "$(reboot)"]
        configuration.priority = "err"
        configuration.matches = ["_UID=0", "MESSAGE=--until=yesterday"]
        configuration.directory = "--flush"
        let position = JournalPosition(kind: .at, realtime: 1_700_000_000_000_009, cursor: Array("s=1".utf8))
        let common = ["--output=export", "--all", "--quiet", "--no-pager", "--merge", "--directory=--flush"]
        let filters = [
            "--unit=--output=json", "--identifier=-f", "--identifier=$(reboot)", "--priority=err", "--", "_UID=0",
            "MESSAGE=--until=yesterday",
        ]
        let arguments = JournalArguments(configuration, machine: "00ff")
        #expect(
            arguments.follow(from: position, byTime: false) == common + ["--follow", "--no-tail", "--cursor=s=1"]
                + filters)
        #expect(
            arguments.follow(from: position, byTime: true)
                == common + ["--follow", "--no-tail", "--since=@1700000000.000009"] + filters)
        #expect(arguments.follow(from: .head, byTime: true) == common + ["--follow", "--no-tail"] + filters)
        #expect(!arguments.lastOfAll.contains("--"))
        // Of this machine's journals only its own entries.
        configuration.directory = ""
        let local = JournalArguments(configuration, machine: "00ff")
        #expect(local.lastOfAll.suffix(2) == ["--", "_MACHINE_ID=00ff"])
        #expect(local.last.suffix(4) == ["--", "_MACHINE_ID=00ff", "_UID=0", "MESSAGE=--until=yesterday"])
    }

    @Test func whatJournalctlDoesNotTakeIsSeenBefore() {
        #expect(["err", "0", "7", "crit..warning", "0..3"].allSatisfy { JournalSyntax.isPriority($0) })
        #expect(
            ["", "8", "error", "err..", "..err", "1...2", "1.2", "-1"].allSatisfy { !JournalSyntax.isPriority($0) })
        #expect(["_UID=0", "A=", "MESSAGE=a=b c", "X1=\n"].allSatisfy { JournalSyntax.isMatch($0) })
        #expect(
            ["", "=", "=1", "a=b", "1A=b", "+", "/usr/bin/x", "A", "A=\0"].allSatisfy { !JournalSyntax.isMatch($0) })
        #expect(["ssh.service", "a@b.service", "x"].allSatisfy { JournalSyntax.isUnit($0) })
        #expect(["", "nginx*", "a?", "[ab]", "a b", "/dev/sda", "a\n"].allSatisfy { !JournalSyntax.isUnit($0) })
        #expect(["web", "a.b-c_d"].allSatisfy { JournalSyntax.isNamespace($0) })
        #expect(["", "*", "+web", ".", "..", "a/b"].allSatisfy { !JournalSyntax.isNamespace($0) })
    }
}
