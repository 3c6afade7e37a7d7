import Glibc
import Logging
import Synchronization
import TailraceDelivery
import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct OperationsTests {
    private let directory = TemporaryDirectory("ops")
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A partition's trouble may be over while somebody asks for it.
    @Test func whatComesAndGoesIsAskedForOnce() {
        var answers = 0
        let found = (0..<3).firstResult { number -> Int? in
            guard number == 1 else { return nil }
            answers += 1
            return answers == 1 ? number : nil
        }
        #expect(found == 1 && answers == 1)
    }

    @Test func jsonEscapesWhatItMust() {
        var json = JSONText()
        json.object { json in
            json.field("a\"b", "c\\d\n\u{1}é")
            json.field("none", nil)
            json.field("n", Int64.min)
            json.field("u", UInt64.max)
            json.field("yes", true)
            json.key("list")
            json.array([1, 2]) { $0.value($1) }
            json.key("empty")
            json.array([Int]()) { $0.value($1) }
            json.field("o") { $0.field("x", "y") }
            json.field("e") { _ in }
        }
        #expect(
            String(decoding: json.bytes, as: UTF8.self)
                == #"{"a\"b":"c\\d\n\u0001é","none":null,"n":-9223372036854775808,"u":18446744073709551615,"#
                + #""yes":true,"#
                + #""list":[1,2],"empty":[],"o":{"x":"y"},"e":{}}"#)
    }

    static var report: StatusReport {
        var report = StatusReport()
        report.process = 7
        report.host = "web \"1\""
        report.started = 0
        report.now = 90_000
        report.spool.directory = "/s"
        report.spool.nextSequence = 10
        var input = StatusReport.Input()
        input.name = "app"
        input.existed = 10
        input.acknowledged = 6
        input.spooled = 3
        input.drops = [.init(reason: "datagrams lost in the kernel", records: 1)]
        var source = StatusReport.Source()
        source.path = "/a\nb"
        source.condition = "followed"
        source.size = 100
        source.offset = 60
        input.sources = [source]
        report.inputs = [input]
        var output = StatusReport.Output()
        output.name = "hub"
        output.state = "connected"
        output.spooled = 10
        output.acknowledged = 6
        output.inFlight = 2
        output.waiting = 1
        output.lastError = "refused"
        output.lastErrorTime = 1000
        var partition = StatusReport.Partition()
        partition.id = "0"
        partition.lastAcknowledged = 5
        output.partitions = [partition]
        report.outputs = [output]
        return report
    }

    @Test func theStatusIsJSONWithTheBalance() {
        let text = String(decoding: Self.report.json, as: UTF8.self)
        #expect(
            text.hasPrefix("{\"format\":1,\"version\":\"\(Version.text)\",\"process\":7,\"host\":\"web \\\"1\\\"\","))
        #expect(
            text.contains(
                "\"existed\":10,\"acknowledged\":6,\"spooled\":3,\"filtered\":0,\"dropped\":1,\"unexplained\":0"))
        #expect(text.contains("\"path\":\"/a\\nb\",\"condition\":\"followed\",\"size\":100,\"offset\":60,\"lag\":40"))
        #expect(text.contains("\"waiting\":1,\"dead_lettered\":0,\"dropped\":0,\"resent_batches\":0,\"unexplained\":1"))
        #expect(
            text.contains(
                "\"partitions\":[{\"id\":\"0\",\"last_acknowledged\":5,\"acknowledged\":0,\"trouble\":null,\"slow\":false,"
                    + "\"passed_over\":0}]"))
        #expect(text.filter { $0 == "{" }.count == text.filter { $0 == "}" }.count)
    }

    /// Each member with a value of its own.
    @Test func theStatusIsReadBackAsItWas() throws {
        var report = Self.report
        report.now = Timestamp.now()
        report.blocked = ["spool: hangs", "b"]
        report.configuration = ReloadHistory(loaded: 951_782_400_000)
        (report.configuration.file, report.configuration.reloads) = ("/c", 3)
        report.configuration.noteFailure("a\nb", at: 1_795_260_300_123)
        report.configuration.needsRestart = ["state_directory"]
        (report.spool.committed, report.spool.released, report.spool.carriedOver) = (21, 22, 23)
        (report.spool.bytes, report.spool.maximumBytes, report.spool.segments) = (24, .max, 25)
        (report.spool.unverified, report.spool.quarantinedRecords, report.spool.quarantinedBytes) = (26, 27, 28)
        report.spool.failure = "full"
        (report.inputs[0].isRemoved, report.inputs[0].redacted, report.inputs[0].undecided) = (true, 31, 32)
        (report.inputs[0].bytes, report.inputs[0].lostBytes, report.inputs[0].lagBytes) = (33, 34, 35)
        (report.inputs[0].notices, report.inputs[0].files, report.inputs[0].type) = (36, 37, "syslog")
        report.inputs[0].filters = [.init(reason: "f", records: 38)]
        report.inputs[0].events = [.init("e", 39)]
        report.inputs[0].levels = [.init("l", 40)]
        (report.outputs[0].guarantee, report.outputs[0].deadLettered, report.outputs[0].dropped) = ("g", 41, 42)
        report.outputs[0].resent = 43
        var partition = StatusReport.Partition()
        (partition.id, partition.acknowledgedRecords, partition.passedOver) = ("1", 44, 45)
        (partition.isSlow, partition.trouble) = (true, "t")
        report.outputs[0].partitions.append(partition)
        (report.outputs[0].deadLetters.carriedOver, report.outputs[0].deadLetters.kept) = (46, 47)
        (report.outputs[0].deadLetters.inArea, report.outputs[0].deadLetters.replayed) = (48, 49)
        (report.outputs[0].deadLetters.dropped, report.outputs[0].deadLetters.lost) = (50, 51)
        #expect(StatusReport(json: report.json) == report)
        let text = String(decoding: report.json, as: UTF8.self)
        #expect(StatusReport(json: Array(text.replacing("\"format\":1", with: "\"format\":2").utf8)) == nil)
        #expect(
            StatusReport(json: Array(text.replacing("\"format\":1", with: "\"later\":true,\"format\":1").utf8))
                == report)
        for nonsense in ["", "{}", "[]", "none", "{\"format\":1"] {
            #expect(StatusReport(json: Array(nonsense.utf8)) == nil)
        }
        // What is of another kind is passed over.
        let other = "{\"format\":1,\"version\":7,\"spool\":[],\"inputs\":{},\"outputs\":[3],\"started\":\"soon\"}"
        #expect(StatusReport(json: Array(other.utf8))?.outputs == [StatusReport.Output()])
    }

    @Test func theStatusForPeopleSaysWhetherTheBalanceCloses() {
        let text = Self.report.text
        #expect(text.contains("up 1 min 30 s"))
        #expect(text.contains("existed 10 = acknowledged 6 + spooled 3 + filtered 0 + dropped 1: closes"))
        #expect(text.contains("dropped 1: datagrams lost in the kernel"))
        var filtered = Self.report
        filtered.inputs[0].existed = 12
        filtered.inputs[0].filters = [.init(reason: "not in the sample", records: 2)]
        filtered.inputs[0].redacted = 3
        filtered.inputs[0].notices = 5
        #expect(filtered.inputs[0].unexplained == 0)
        #expect(filtered.text.contains("filtered 2: not in the sample"))
        #expect(filtered.text.contains("redacted: 3 records"))
        #expect(filtered.text.contains("of what existed, the agent's own: 5 notices of losses"))
        #expect(
            String(decoding: filtered.json, as: UTF8.self).contains(
                "\"filters\":[{\"reason\":\"not in the sample\",\"records\":2}],\"redacted\":3,\"undecided\":0,\"notices\":5"
            ))
        #expect(
            String(decoding: filtered.metrics(ProcessUsage()), as: UTF8.self).contains(
                "tailrace_input_filtered_records_total{input=\"app\",reason=\"not in the sample\"} 2\n"))
        #expect(text.contains("DOES NOT CLOSE: 1 unexplained"))
        #expect(text.contains("last error at 1970-01-01T00:00:01.000Z: refused"))
    }

    @Test func aSlowPartitionAndDeadLettersAreTold() {
        var report = Self.report
        #expect(!report.text.contains("SLOW") && !report.text.contains("dead letters:"))
        report.outputs[0].partitions[0].isSlow = true
        report.outputs[0].partitions[0].passedOver = 12
        var counts = DeadLetterCounts()
        (counts.carriedOver, counts.kept, counts.inArea) = (5, 4, 2)
        (counts.replayed, counts.dropped, counts.lost) = (3, 2, 1)
        report.outputs[0].deadLetters = counts
        #expect(report.text.contains("last acknowledged id 5, SLOW: passed over, 12 records to be read again"))
        #expect(
            report.text.contains(
                "dead letters: 5 at the start + 4 since = 2 there + replayed 3 + dropped by hand 2 + damaged 1: "
                    + "DOES NOT CLOSE: 1 unexplained"))
        let json = String(decoding: report.json, as: UTF8.self)
        #expect(json.contains("\"slow\":true,\"passed_over\":12"))
        #expect(
            json.contains(
                "\"dead_letters\":{\"at_start\":5,\"kept\":4,\"in_area\":2,\"replayed\":3,\"dropped_by_hand\":2,"
                    + "\"damaged\":1,\"unexplained\":1}"))
        let metrics = String(decoding: report.metrics(ProcessUsage()), as: UTF8.self)
        #expect(metrics.contains("tailrace_output_partition_passed_over_records{output=\"hub\",partition=\"0\"} 12\n"))
        #expect(metrics.contains("tailrace_output_dead_letters{output=\"hub\"} 2\n"))
        #expect(metrics.contains("tailrace_output_dead_letters_replayed_total{output=\"hub\"} 3\n"))
        #expect(metrics.contains("tailrace_output_dead_letters_dropped_total{output=\"hub\"} 2\n"))
    }

    @Test func requestsForDeadLettersAndTheirRepliesAreReadBack() {
        let request = ControlRequest.settle(.replay, output: "hub", [0..<17, 20..<21])
        #expect(request.line == "dead-replay hub 0-16,20" && ControlRequest(line: request.line) == request)
        let drop = ControlRequest.settle(.drop, output: "a-b", [3..<4])
        #expect(drop.line == "dead-drop a-b 3" && ControlRequest(line: drop.line) == drop)
        let bad = [
            "dead-drop", "dead-drop hub", "dead-drop hub ", "dead-drop hub 3,", "dead-drop hub 4-3", "dead-x hub 3",
        ]
        for line in bad {
            #expect(ControlRequest(line: line) == nil, "\(line)")
        }
        for state in [SettlingProgress.State.more, .done, .waiting(reason: "the spool is full")] {
            var progress = SettlingProgress()
            (progress.records, progress.left, progress.state) = (3, 4, state)
            #expect(SettlingReply.progress(SettlingReply.line(progress)) == progress)
        }
        for line in ["", "3 4", "3 4 x", "3 4 done x", "3 4 waiting", "-1 4 done"] {
            #expect(SettlingReply.progress(line) == nil, "\(line)")
        }
    }

    @Test func theStatusTellsWhatIsStillToBeVerified() {
        var report = Self.report
        #expect(!report.text.contains("being verified"))
        report.spool.unverified = 12
        #expect(report.text.contains("        being verified: 12 records from before this start to go\n"))
        #expect(String(decoding: report.json, as: UTF8.self).contains("\"unverified_records\":12,"))
        #expect(
            String(decoding: report.metrics(ProcessUsage()), as: UTF8.self).contains(
                "tailrace_spool_unverified_records 12\n"))
    }

    @Test func aSourceWithoutSizeIsToldWithoutOne() {
        var report = Self.report
        report.inputs[0].type = "syslog"
        report.inputs[0].lagBytes = 0
        report.inputs[0].files = 1
        report.inputs[0].sources[0].path = "udp://127.0.0.1:5514"
        report.inputs[0].sources[0].condition = "receives"
        report.inputs[0].sources[0].size = 0
        report.inputs[0].sources[0].offset = 0
        #expect(report.text.contains("(syslog): 1 source\n"))
        #expect(report.text.contains("        udp://127.0.0.1:5514: receives\n"))
    }

    @Test func theControlSocketAnswersOneLineWithOneText() throws {
        let path = directory("control.sock")
        let server = try ControlServer.start(path: path, logger: logger) { Array("<\($0)>".utf8) }
        #expect(try ControlClient.ask("status json", path: path) == Array("<status json>".utf8))
        #expect(try ControlClient.ask("", path: path) == Array("<>".utf8))
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o660)
        server.stop()
        server.stop()
        #expect(access(path, F_OK) != 0)
        #expect(throws: ControlError.notRunning(path: path, reason: "No such file or directory")) {
            try ControlClient.ask("status", path: path)
        }
    }

    @Test func whatIsNoSocketIsLeftAloneAndNamed() throws {
        let path = try directory.write("somebody else's", to: "control.sock")
        #expect(throws: AgentError("\(path) is no socket: move it away, the agent makes its own there")) {
            try ControlServer.start(path: path, logger: logger) { _ in [1] }
        }
        #expect(ChildProcess.text(path) == "somebody else's")
    }

    @Test func aSocketLeftBehindIsTakenOver() throws {
        let path = directory("control.sock")
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #expect(UnixSocket.withAddress(path) { bind(descriptor, $0, $1) } == 0)
        close(descriptor)
        #expect(throws: ControlError.notRunning(path: path, reason: "Connection refused")) {
            try ControlClient.ask("status", path: path)
        }
        let server = try ControlServer.start(path: path, logger: logger) { _ in [1] }
        #expect(try ControlClient.ask("status", path: path) == [1])
        server.stop()
    }

    @Test func anEndlessRequestIsCutOff() throws {
        let path = directory("control.sock")
        let server = try ControlServer.start(path: path, logger: logger) { _ in [1] }
        #expect(throws: ControlError.self) {
            try ControlClient.ask(String(repeating: "x", count: 1 << 20), path: path)
        }
        #expect(try ControlClient.ask("status", path: path) == [1])
        server.stop()
    }

    @Test func anOverlongPathIsAnErrorAndNoTrap() {
        let path = "/tmp/" + String(repeating: "x", count: 200)
        #expect(throws: UnixSocket.Failure(action: "bind", path: path, code: ENAMETOOLONG)) {
            try ControlServer.start(path: path, logger: logger) { _ in [] }
        }
        #expect(throws: ControlError.failed(path: path, reason: "the path is too long for a socket")) {
            try ControlClient.ask("status", path: path)
        }
    }

    @Test func systemdIsTold() throws {
        let path = directory("notify")
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        #expect(UnixSocket.withAddress(path) { bind(descriptor, $0, $1) } == 0)
        let manager = ServiceManager(path: path)
        manager.ready()
        manager.reloading()
        manager.status("two\nlines")
        manager.stopping()
        var bytes = [UInt8](repeating: 0, count: 64)
        for expected in ["READY=1", "RELOADING=1\nMONOTONIC_USEC=", "STATUS=two lines", "STOPPING=1"] {
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            #expect(
                text.filter { !$0.isNumber || !expected.hasSuffix("=") }
                    == expected.filter { !$0.isNumber || !expected.hasSuffix("=") })
        }
        ServiceManager(path: nil).ready()
        ServiceManager(path: "/nonexistent/notify").ready()
    }

    @Test func theSocketIsFoundWithoutTheKeys() throws {
        let path = directory("t.toml")
        let text = "[agent]\nstate_directory = \"/srv/t\"\n[output.hub]\nconnection_string_file = \"/secret\"\n"
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        #expect(try ConfigurationLoader.places(ofConfigurationAt: path).controlSocket == "/srv/t/control.sock")
    }
}
