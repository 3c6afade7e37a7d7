import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// Readers that fail, positions that mean nothing, journals that are damaged.
@Suite(.serialized) struct JournalFaultTests {
    private let files = JournalFiles()
    private let sink = JournalSink()

    private func key(_ configuration: JournalConfiguration) -> SourceKey {
        JournalPosition.key(input: configuration.name, journal: configuration.source)
    }

    private func texts(_ numbers: Range<Int>) -> [String] { numbers.map { "entry \($0)" } }

    /// A program in journalctl's place that says what `script` says; `$0` is a directory of its own.
    private func configuration(_ script: String) throws -> JournalConfiguration {
        let path = try files.directory.write("#!/bin/bash\ncd \(files.directory.path)\n\(script)\n", to: "journalctl")
        chmod(path, 0o755)
        var configuration = JournalConfiguration(name: "j")
        configuration.program = path
        configuration.start = .all
        return configuration
    }

    private func write(_ bytes: [UInt8], to name: String) throws {
        let descriptor = open(files.directory(name), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        guard bytes.withUnsafeBytes({ Glibc.write(descriptor, $0.baseAddress, $0.count) }) == bytes.count else {
            throw ChildProcess.Failure("cannot write \(name)")
        }
    }

    /// The cursor is no cursor: the time stored beside it tells where to go on. Nothing comes twice.
    @Test func aCursorThatIsNoneGoesOnByTime() throws {
        try files.add(JournalFiles.entries(0..<20))
        let position = JournalPosition(
            kind: .after, realtime: UInt64(JournalExport.start + 12), cursor: Array("garbage".utf8))
        sink.setPosition(key(files.configuration), position.value)
        let running = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: 7))
        running.stop()
        #expect(sink.texts == texts(13..<20))
        #expect(running.reader.statistics.gaps == 1)
    }

    /// Another journal in the place of the one that was read: on by time, said, and nothing twice.
    @Test func anotherJournalGoesOnByTime() throws {
        try files.add(JournalFiles.entries(0..<20))
        let first = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: 20))
        first.stop()
        unlink("\(files.path)/x.journal")
        let boot = "ffffffffffffffffffffffffffffffff"
        try files.add(
            (10..<30).flatMap { number in
                // The last entry that was read has a time that no other has.
                JournalFiles.entry(
                    number, "entry \(number)", boot: boot,
                    realtime: JournalExport.start + (number < 20 ? number - 1 : number))
            }, to: "y.journal")
        let second = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: 30))
        second.stop()
        #expect(sink.texts == texts(0..<30))
        #expect(second.reader.statistics.gaps == 1)
        #expect(second.reader.statistics.missed == 0)
    }

    /// Progress is by cursor: an hour back, a year on, another boot that begins in the past.
    @Test func timesThatJumpLoseAndRepeatNothing() throws {
        let hour = 3_600_000_000
        let boots = ["0a", "0b", "0c"].map { String(repeating: $0, count: 16) }
        var bytes: [UInt8] = []
        for number in 0..<90 {
            let jump = [0, -hour, hour * 8760][number / 10 % 3]
            bytes += JournalFiles.entry(
                number, "entry \(number)", boot: boots[number / 30], realtime: JournalExport.start + number + jump)
        }
        try files.add(bytes)
        for count in [7, 12, 25, 33, 59, 61, 90] {
            let running = try RunningJournal(files.configuration, sink)
            #expect(sink.wait(forCount: 90))
            let process = running.process()
            kill(process, SIGBUS)
            #expect(running.wait { $0.statistics.restarts > 0 })
            running.stop()
            #expect(sink.texts == texts(0..<90), "\(count)")
        }
    }

    /// Two machines whose journals lie in one directory, with times in turn.
    @Test func journalsOfTwoMachinesAreBothRead() throws {
        for machine in 0..<2 {
            let bytes = (0..<50).flatMap { number in
                JournalFiles.entry(
                    number * 2 + machine, "entry \(number * 2 + machine)",
                    boot: String(repeating: "\(machine + 1)", count: 32), host: "host-\(machine)")
            }
            try files.add(bytes, to: "remote-\(machine).journal")
        }
        let running = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: 100))
        let process = running.process()
        kill(process, SIGKILL)
        #expect(running.process(other: process) != process)
        usleep(50_000)
        running.stop()
        #expect(sink.texts == texts(0..<100))
        #expect(sink.lines.map(\.host) == (0..<100).map { "host-\($0 % 2)" })
        #expect(running.reader.statistics.missed == 0)
    }

    @Test func entriesThatJournaldWroteTwiceComeOnce() throws {
        var export = JournalExport()
        export.entry(1)
        export.entry(2)
        export.entry(2)
        export.entry(3)
        // The same content at the same time, but another entry.
        export.entry(4, cursor: JournalExport.cursor(4, hash: 3 * 7919))
        try write(export.bytes, to: "stream")
        let running = try RunningJournal(try configuration("cat stream; sleep 1000"), sink)
        #expect(sink.wait(forCount: 4))
        running.stop()
        #expect(sink.texts == ["entry 1", "entry 2", "entry 3", "entry 4"])
        #expect(running.reader.statistics.repeated == 1)
    }

    /// A copy of a journal file beside it, as a backup or an unclean rotation leaves it.
    @Test func aFileThatIsThereTwiceIsReadOnce() throws {
        try files.add(JournalFiles.entries(0..<50))
        let copy = try ChildProcess("/bin/cp", ["\(files.path)/x.journal", "\(files.path)/copy.journal"])
        #expect(copy.wait() == .code(0))
        let running = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: 50))
        try files.add(JournalFiles.entries(50..<60))
        #expect(sink.wait(forCount: 60))
        running.stop()
        #expect(sink.texts == texts(0..<60))
    }

    /// What no reader gets through is passed on as far as it could be read, and reading goes on behind it.
    @Test func anEntryThatKillsEveryReaderIsPassedOnAsFarAsItCame() throws {
        var export = JournalExport()
        export.entry(1)
        export.begin(2)
        export.add("PRIORITY", "3")
        export.add("MESSAGE", "half")
        try write(export.bytes, to: "first")
        export = JournalExport()
        export.entry(3)
        try write(export.bytes, to: "second")
        let third = JournalExport.cursor(2)
        let script = """
            case "$*" in
            *'\(third)'*) cat second; exec sleep 1000 ;;
            *) cat first; kill -BUS $$ ;;
            esac
            """
        let running = try RunningJournal(try configuration(script), sink)
        #expect(sink.wait(forCount: 3))
        running.stop()
        #expect(sink.texts == ["entry 1", "half", "entry 3"])
        #expect(sink.lines[1].attributes["parse_error"] == "journald could not read all of the entry")
        #expect(sink.lines[1].attributes["severity"] == "3")
        #expect(running.reader.statistics.incomplete == 1)
        #expect(running.reader.statistics.restarts == 3)
    }

    @Test func aStreamThatCannotBeTrustedIsBegunAgainBehindTheLastEntry() throws {
        var export = JournalExport()
        export.entry(1)
        try write(export.bytes + Array("X\n".utf8) + [UInt8](repeating: 255, count: 8), to: "first")
        export = JournalExport()
        export.entry(2)
        try write(export.bytes, to: "second")
        let script = "case \"$*\" in *--cursor=*) cat second; exec sleep 1000 ;; *) cat first; exec sleep 1000 ;; esac"
        let running = try RunningJournal(try configuration(script), sink)
        #expect(sink.wait(forCount: 2))
        running.stop()
        #expect(sink.texts == ["entry 1", "entry 2"])
        #expect(running.reader.statistics.restarts == 1)
    }

    /// Files that lose their end under a reader that has them mapped; the input lives on, and so does what is whole.
    @Test func filesThatAreTruncatedUnderTheReaderAreSurvived() throws {
        try files.add(JournalFiles.entries(0..<20_000))
        sink.hold(true)
        let running = try RunningJournal(files.configuration, sink)
        #expect(running.wait { $0.statistics.bytes > 0 })
        var status = stat()
        #expect(stat("\(files.path)/x.journal", &status) == 0)
        #expect(truncate("\(files.path)/x.journal", status.st_size / 3) == 0)
        sink.hold(false)
        try files.add(
            (30_000..<30_100).flatMap { JournalFiles.entry($0, "entry \($0)") }, to: "y.journal")
        #expect(sink.wait { $0.texts.last == "entry 30099" })
        running.stop()
        let numbers = sink.texts.compactMap { Int($0.dropFirst(6)) }
        #expect(Set(numbers).count == numbers.count)
        #expect(numbers.suffix(100) == Array(30_000..<30_100)[...])
        // What was read before is a row from the first one on.
        #expect(Array(numbers.dropLast(100)) == Array(0..<(numbers.count - 100)))
    }

    @Test func whatStandsInTheWayIsToldWithItsRemedy() throws {
        var configuration = files.configuration
        configuration.program = "/nonexistent/journalctl"
        let running = try RunningJournal(configuration, sink)
        func source() -> InputReport.Source? { running.reader.reports(timeoutMilliseconds: 0)["j"]?.sources.first }
        #expect(running.wait { _ in source()?.isTroubled == true })
        #expect(source()?.condition.contains("No such file or directory; it belongs to the package systemd") == true)
        running.stop()
    }

    @Test func journalsThatMayNotBeReadAreTold() throws {
        let directory = TemporaryDirectory("rights")
        let readable = try directory.write("", to: "readable")
        #expect(JournalAccess.check(files: [directory("none"), readable], namespace: "") == .granted)
        #expect(
            JournalAccess.check(files: [directory("none")], namespace: "web")
                == .troubled("there is no journal of namespace web; does a unit with LogNamespace=web run?"))
        #expect(
            JournalAccess.check(files: [directory("none")], namespace: "")
                == .troubled("there is no system journal; is systemd-journald running?"))
        #expect(JournalAccess.check(directory: directory.path) == .granted)
        guard case .troubled(let text) = JournalAccess.check(directory: directory("none")) else {
            Issue.record("no trouble")
            return
        }
        #expect(text.contains("none cannot be read: No such file or directory"))
    }

    @Test func aUserWithoutTheRightIsToldTheGroup() throws {
        let directory = TemporaryDirectory("rights")
        chmod(directory.path, 0o755)
        let file = try directory.write("", to: "system.journal")
        chmod(file, 0)
        // Root may read everything: it becomes nobody for a moment.
        let user = geteuid()
        if user == 0 { #expect(seteuid(65534) == 0) }
        let access = JournalAccess.check(files: [directory("none"), file], namespace: "")
        if user == 0 { #expect(seteuid(0) == 0) }
        guard case .troubled(let text) = access else {
            Issue.record("no trouble")
            return
        }
        #expect(text.contains("usermod -aG systemd-journal USER"))
    }

    /// The agent's messages in the journal that it reads: passed on, each would cause the next.
    @Test func theAgentsOwnMessagesAreCountedAndNotPassedOn() throws {
        let own = "00ff00ff00ff00ff00ff00ff00ff00ff"
        setenv("INVOCATION_ID", own, 1)
        defer { unsetenv("INVOCATION_ID") }
        let bytes = (0..<20).flatMap {
            JournalFiles.entry(
                $0, "entry \($0)",
                fields: [("_SYSTEMD_INVOCATION_ID", $0 % 2 == 0 ? own : "11ff00ff00ff00ff00ff00ff00ff00ff")])
        }
        try files.add(bytes)
        let running = try RunningJournal(files.configuration, sink)
        #expect(sink.wait(forCount: 10))
        running.stop()
        #expect(sink.texts == (0..<20).filter { $0 % 2 == 1 }.map { "entry \($0)" })
        #expect(running.reader.statistics.own == 10)
    }
}
