import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceAgent
@testable import TailraceInputs

@Suite struct PathExplanationTests {
    private let directory = TemporaryDirectory()

    private func explain(
        _ name: String, known: KnownFile? = nil, state: PathExplanation.AgentState = .stopped
    ) -> PathExplanation {
        var app = FileInputSettings(include: [directory("*.log"), directory("sub/*.log")])
        app.exclude = ["skip*"]
        let all = FileInputSettings(include: [directory("skipped-*.log")])
        return PathExplanation(
            directory(name),
            inputs: [InputSettings(name: "app", .file(app)), InputSettings(name: "all", .file(all))],
            facts: PathFacts(path: directory(name)), known: known, positions: [], state: state)
    }

    private func make(_ name: String) { close(open(directory(name), O_WRONLY | O_CREAT, 0o644)) }

    @Test func aMatchWaitsForTheAgent() {
        make("a.log")
        let explanation = explain("a.log")
        #expect(explanation.verdict == .waiting)
        #expect(explanation.includes == [PathExplanation.Match(input: "app", pattern: directory("*.log"))])
        #expect(explanation.remedy == "start it: tailrace run")
        #expect(explain("a.log", state: .running).reason.contains("has not been come across yet"))
        #expect(explain("a.log", state: .heldBack).reason.contains("holds the file inputs back"))
    }

    @Test func whatNoPatternMatchesIsIgnored() {
        make("a.txt")
        let explanation = explain("a.txt")
        #expect(explanation.verdict == .ignored)
        #expect(explanation.reason == "no file input has a pattern that matches it")
    }

    @Test func anExcludeOfOneInputLeavesItToAnother() {
        make("skip.log")
        make("skipped-1.log")
        let skipped = explain("skip.log")
        #expect(skipped.verdict == .ignored)
        #expect(skipped.reason == "excluded by the pattern skip* of input app")
        let taken = explain("skipped-1.log")
        #expect(taken.verdict == .waiting)
        #expect(taken.includes.map(\.input) == ["app", "all"])
        #expect(taken.excludes.map(\.input) == ["app"])
    }

    @Test func onlyRegularFilesAreRead() {
        mkfifo(directory("p.log"), 0o600)
        mkdir(directory("d.log"), 0o755)
        symlink("nowhere", directory("l.log"))
        #expect(explain("p.log").reason == "it is a named pipe: only regular files are read")
        #expect(explain("d.log").reason == "it is a directory")
        #expect(explain("l.log").reason == "the link leads to nowhere where nothing is")
        #expect(explain("none.log").verdict == .waiting)
    }

    @Test func whatTheAgentKnowsDecides() {
        make("a.log")
        func known(_ condition: TailedFileState.Condition, size: UInt64 = 10, offset: UInt64 = 10) -> KnownFile {
            KnownFile(
                state: TailedFileState(
                    path: directory("a.log"), source: directory("a.log"), input: "app", condition: condition, device: 1,
                    inode: 2, generation: 3, size: size, offset: offset))
        }
        func verdict(_ known: KnownFile) -> PathExplanation.Verdict {
            explain("a.log", known: known, state: .running).verdict
        }
        #expect(verdict(known(.followed)) == .read)
        #expect(verdict(known(.followed, offset: 4)) == .read)
        #expect(verdict(known(.troubled("no right"))) == .waiting)
        #expect(verdict(known(.copying)) == .waiting)
        #expect(verdict(known(.rotated)) == .finished)
        #expect(verdict(known(.rotated, offset: 4)) == .read)
        #expect(verdict(known(.missing)) == .gone)
        var waiting = known(.followed, offset: 0)
        waiting.predecessor = ("/old", 7)
        let explanation = explain("a.log", known: waiting, state: .running)
        #expect(explanation.verdict == .waiting)
        #expect(explanation.reason.contains("/old, 7 bytes left"))
        var partial = known(.followed, offset: 6)
        partial.unfinishedLine = 4
        #expect(explain("a.log", known: partial, state: .running).reason.contains("4 bytes of a line without newline"))
        let json = String(decoding: explain("a.log", known: waiting, state: .running).json, as: UTF8.self)
        #expect(json.contains("\"verdict\":\"waiting\""))
        #expect(json.contains("\"waits_for\":\"/old\""))
    }

    @Test func pathsAreMadeAbsolute() {
        #expect(PathExplanation.absolute("a.log", in: "/var/log") == "/var/log/a.log")
        #expect(PathExplanation.absolute("../x/./a.log", in: "/var/log") == "/var/x/a.log")
        #expect(PathExplanation.absolute("//var//log/../a", in: "/tmp") == "/var/a")
        #expect(PathExplanation.absolute("../../..", in: "/tmp") == "/")
    }

    @Test func requestsAreReadAsTheyWereWritten() {
        let paths = ["/var/log/a.log", "/with space/and %41\nnewline", "/ü", ""]
        var requests: [ControlRequest] = [
            .status(isJSON: true), .status(isJSON: false), .positions(isJSON: true), .positions(isJSON: false),
        ]
        for path in paths {
            requests += [
                .explain(path: path, isJSON: true), .explain(path: path, isJSON: false),
                .setPosition(path: path, .offset(.max)), .setPosition(path: path, .end), .forgetPosition(path: path),
            ]
        }
        for request in requests {
            #expect(!request.line.contains("\n"))
            #expect(ControlRequest(line: request.line) == request)
        }
        for line in ["", "status", "status xml", "explain", "position-set 5", "position-set x /a", "positions", "drop"]
        {
            #expect(ControlRequest(line: line) == nil, "\(line)")
        }
    }

    @Test func aListOfPositionsHasALineForEach() {
        let other = SourceKey([1, 0x41, 0xFF])
        let report = PositionsReport([other: Array("cursor".utf8)])
        #expect(report.text == "\\x01A\\xff: cursor\n")
        #expect(
            String(decoding: report.json, as: UTF8.self)
                == #"{"files":[],"journals":[],"others":[{"key":"\\x01A\\xff","value":"cursor"}]}"#)
        #expect(PositionsReport([:]).text == "no positions\n")
    }

    @Test func journalsAreListedByNameEntryAndTime() {
        func key(_ input: String, _ journal: String) -> SourceKey {
            SourceKey(Array("journal\0\(input)\0\(journal)".utf8))
        }
        let cursor =
            "s=00112233445566778899aabbccddeeff;i=2a;b=0123456789abcdef0123456789abcdef;m=3e8;t=60a24181e4000;x=1"
        // 1,700,000,000,000,000 microseconds, little-endian.
        let time: [UInt8] = [0x00, 0x40, 0x1E, 0x18, 0x24, 0x0A, 0x06, 0x00]
        let report = PositionsReport([
            key("system", "journal"): [1, 1] + time + Array(cursor.utf8),
            key("new", "journal:/srv"): [1, 3] + Array(repeating: 0, count: 8),
            key("odd", "journal:/odd"): [1, 2] + time + Array("no\ncursor".utf8),
            key("later", "journal"): [2, 1] + time,
        ])
        #expect(
            report.text == """
                journal of input system: read up to entry 42 of 2023-11-14T22:13:20.000Z, cursor \(cursor)
                journal:/odd of input odd: to be read from an entry of 2023-11-14T22:13:20.000Z, cursor no\\x0acursor
                journal:/srv of input new: to be read from its beginning
                journal\\x00later\\x00journal: \\x02\\x01\\x00@\\x1e\\x18$\\x0a\\x06\\x00

                """)
        #expect(report.journals.map(\.input) == ["system", "odd", "new"])
        #expect(
            String(decoding: report.json, as: UTF8.self).contains(
                #"{"journal":"journal:/srv","input":"new","place":"beginning","entry":null,"time":null,"cursor":""}"#))
    }
}
