import Glibc
import OpenSSLTransport
import TestSupport
import Testing

@testable import TailraceAgent

/// What two configurations have in common keeps running; what is done about the rest.
@Suite struct ReloadPlanTests {
    private static let agent = "[agent]\nhost = \"h\"\nmetrics = \"\"\n"
    private static let app = "[input.app]\ntype = \"file\"\ninclude = [\"/var/log/app/*.log\"]\n"
    private static let web = "[input.web]\ntype = \"file\"\ninclude = [\"/var/log/web/*.log\"]\n"
    private static let net = "[input.net]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:5514\"]\n"
    private static let journal = "[input.journal]\ntype = \"journal\"\n"
    /// Of an authority in a file: to read the system's store takes its time, for each of these configurations.
    private let directory = TemporaryDirectory("reload-plan")

    init() throws { try ThrowAwayAuthority().writeCertificate(to: directory("ca.pem")) }

    private func hub(_ name: String, key: String = "a2V5", more: String = "") -> String {
        """
        [output.\(name)]
        type = "eventhubs"
        connection_string = "Endpoint=sb://a.example/;SharedAccessKeyName=n;SharedAccessKey=\(key);EntityPath=logs"
        ca_file = "\(directory("ca.pem"))"
        \(more)

        """
    }
    private var all: String {
        Self.agent + Self.app + Self.web + Self.net + Self.journal + hub("one") + hub("two")
    }

    private func parse(_ text: String) throws -> AgentConfiguration {
        try ConfigurationLoader.parse(Array(text.utf8), file: "t.toml")
    }

    private func plan(_ old: String, _ new: String) throws -> ReloadPlan {
        ReloadPlan(from: try parse(old), to: try parse(new))
    }

    @Test func whatIsTheSameIsKept() throws {
        let plan = try plan(all, "# another comment\n\n" + all)
        #expect(plan.isEmpty)
        #expect(plan.inputs.kept == ["net", "journal"])
        #expect(plan.files.kept == ["app", "web"])
        #expect(plan.outputs.kept == ["one", "two"])
        #expect(plan.refused.isEmpty)
    }

    @Test func whatComesAndGoesLeavesTheRestAlone() throws {
        let plan = try plan(
            all,
            Self.agent + Self.web + Self.net.replacing("input.net", with: "input.new") + hub("two")
                + hub("three"))
        #expect(plan.inputs == ReloadPlan.Parts(stopped: ["net", "journal"], begun: ["new"]))
        #expect(plan.files == ReloadPlan.Parts(kept: ["web"], stopped: ["app"]))
        #expect(plan.outputs == ReloadPlan.Parts(kept: ["two"], stopped: ["one"], begun: ["three"]))
        #expect(plan.treated == ["new"])
        #expect(plan.changesFiles)
        #expect(!plan.isFileOrderChanged)
    }

    @Test(arguments: [
        (app, "ignore_older = \"1h\"\n"), (app, "exclude = [\"*.gz\"]\n"), (web, "multiline = \"indent\"\n"),
    ])
    func aFileInputChanges(input: String, line: String) throws {
        let plan = try plan(all, all.replacing(input, with: input + line))
        let name = input == Self.app ? "app" : "web"
        #expect(plan.files.replaced == [name])
        #expect(plan.files.kept == (name == "app" ? ["web"] : ["app"]))
        #expect(plan.inputs.isEmpty && plan.outputs.isEmpty && plan.treated.isEmpty)
    }

    @Test func filtersAndFieldsStopNothing() throws {
        for line in ["keep = ['x']\n", "fields = { team = \"ops\" }\n", "sample = 0.5\n"] {
            for input in [Self.app, Self.net, Self.journal] {
                let plan = try plan(all, all.replacing(input, with: input + line))
                #expect(plan.inputs.isEmpty && !plan.changesFiles && plan.outputs.isEmpty)
                #expect(plan.treated == [input == Self.app ? "app" : input == Self.net ? "net" : "journal"])
                #expect(!plan.isEmpty)
            }
        }
    }

    @Test func theOrderOfFileInputsCountsAndNoOther() throws {
        let plan = try plan(
            all, Self.agent + hub("two") + Self.journal + Self.web + Self.net + Self.app + hub("one"))
        #expect(plan.isFileOrderChanged && plan.changesFiles)
        #expect(plan.files.isEmpty && plan.inputs.isEmpty && plan.outputs.isEmpty)
    }

    @Test func aNameOfAnotherTypeIsAnotherInput() throws {
        let plan = try plan(
            all,
            all.replacing(
                Self.app, with: Self.net.replacing("input.net", with: "input.app").replacing("5514", with: "5515")))
        #expect(plan.files == ReloadPlan.Parts(kept: ["web"], stopped: ["app"]))
        #expect(plan.inputs.begun == ["app"])
        let other = try self.plan(
            all, all.replacing(Self.net, with: Self.journal.replacing("input.journal", with: "input.net")))
        #expect(other.inputs == ReloadPlan.Parts(kept: ["journal"], replaced: ["net"]))
    }

    @Test func anotherKeyOrPlaceMakesAnotherOutput() throws {
        for two in [
            hub("two", key: "bmV3"), hub("two", more: "key = \"source\""),
            hub("two", more: "idempotent = \"never\""),
        ] {
            let plan = try plan(all, all.replacing(hub("two"), with: two))
            #expect(plan.outputs == ReloadPlan.Parts(kept: ["one"], replaced: ["two"]))
            #expect(plan.inputs.isEmpty && !plan.changesFiles)
        }
    }

    @Test func aHostIsOnEveryRecord() throws {
        let plan = try plan(all, all.replacing("host = \"h\"", with: "host = \"g\""))
        #expect(plan.isHostChanged && plan.changesFiles)
        #expect(plan.inputs.replaced == ["net", "journal"])
        #expect(plan.files.isEmpty && plan.outputs.isEmpty)
    }

    @Test func whatCannotChangeIsSaid() throws {
        let plan = try plan(all, all.replacing("[agent]", with: "[agent]\nstate_directory = \"/srv/state\""))
        #expect(plan.isEmpty)
        #expect(
            plan.refused.map(\.description) == [
                "[agent] state_directory stays \"/var/lib/tailrace\": \"/srv/state\" needs a restart"
            ])
    }

    @Test func settingsOfTheAgentItself() throws {
        #expect(
            try plan(all, all.replacing("metrics = \"\"", with: "metrics = \"127.0.0.1:1\"")).isMetricsChanged
        )
        let spool = try plan(all, all + "[spool]\nmaximum_size = \"1GiB\"\n")
        #expect(spool.isSpoolChanged && !spool.isEmpty && spool.inputs.isEmpty && spool.outputs.isEmpty)
    }

    /// Certificates are renewed in their places.
    @Test func otherContentsOfAFileAreAnotherSetting() throws {
        let path = directory("changing.pem")
        func write(_ text: String) throws {
            let file = try #require(fopen(path, "w"))
            fputs(text, file)
            fclose(file)
        }
        try write("one")
        var old = try parse(all)
        let pulsar = "[output.p]\ntype = \"pulsar\"\nservice_url = \"pulsar://b:6650\"\ntopic = \"logs\"\n"
        guard case .pulsar(var settings)? = try parse(Self.agent + Self.app + pulsar).outputs.first else {
            throw ChildProcess.Failure("no pulsar output")
        }
        settings.caFile = path
        old.outputs.append(.pulsar(settings))
        old.marks = old.currentMarks
        #expect(Set(old.marks.keys) == [path, directory("ca.pem")])
        #expect(ReloadPlan(from: old, to: old).isEmpty)
        try write("another")
        var new = old
        new.marks = new.currentMarks
        #expect(ReloadPlan(from: old, to: new).outputs.replaced == ["p"])
        unlink(path)
        new.marks = new.currentMarks
        #expect(ReloadPlan(from: old, to: new).outputs.replaced == ["p"])
    }
}
