import Glibc
import TestSupport
import Testing

@testable import TailraceAgent

/// The files of `conf.d` beside a configuration.
@Suite struct DropInTests {
    private let directory = TemporaryDirectory("drop-in")
    private var path: String { directory("tailrace.toml") }

    private func write(_ name: String, _ text: String) throws {
        mkdir(directory("conf.d"), 0o755)
        try directory.write(text, to: name)
    }

    private func problems() -> [ConfigurationProblem] {
        do {
            _ = try ConfigurationLoader.load(path: path)
            return []
        } catch {
            return error.problems
        }
    }

    private static let output = """
        [output.hub]
        type = "eventhubs"
        connection_string = "Endpoint=sb://a.example/;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs"

        """

    @Test func filesAddToTheConfigurationInTheOrderOfTheirNames() throws {
        try write("tailrace.toml", "[agent]\nhost = \"h\"\n" + Self.output)
        try write("conf.d/20-web.toml", "[input.web]\ntype = \"file\"\ninclude = [\"/w/*.log\"]\n")
        try write("conf.d/10-app.toml", "[agent]\nmetrics = \"127.0.0.1:9477\"\n[input.app]\ntype = \"file\"\n")
        // A table of another file gets keys.
        try write("conf.d/30-more.toml", "input.app.include = [\"/a/*.log\"]\n[output.hub]\nkey = \"source\"\n")
        let configuration = try ConfigurationLoader.load(path: path)
        #expect(configuration.inputs.map(\.name) == ["app", "web"])
        #expect(configuration.metrics?.port == 9477)
        #expect(configuration.host == "h")
        #expect(configuration.outputs.map(\.key) == [.source])
        #expect(configuration.dropIns == ["10-app", "20-web", "30-more"].map { directory("conf.d/\($0).toml") })
        let report = ConfigurationReport.text(configuration)
        #expect(report.hasPrefix("\(path): valid\n    with \(directory("conf.d/10-app.toml"))\n"))
    }

    @Test func whatTwoFilesSetIsAnErrorThatNamesBoth() throws {
        try write("tailrace.toml", "[agent]\n\nhost = \"h\"\n" + Self.output)
        try write("conf.d/a.toml", "# here too\n[agent]\nhost = \"g\"\n")
        try write("conf.d/b.toml", "[input.a]\ntype = \"file\"\ninclude = [\"/a\"]\n")
        try write("conf.d/c.toml", "[input.a]\ninclude = [\"/b\"]\nmultiline = { start = 'x' }\n")
        try write("conf.d/d.toml", "[input.a.multiline]\nlimit = 3\n")
        let found = problems()
        #expect(found.map(\.file) == ["a", "c", "d"].map { directory("conf.d/\($0).toml") })
        #expect(found.map(\.line) == [3, 2, 1])
        #expect(found.first?.message == "\"host\" in [agent] is set twice: first in \(path):3")
        #expect(found[1].message == "\"include\" in [input.a] is set twice: first in \(directory("conf.d/b.toml")):3")
        #expect(found[2].message.contains("\"multiline\" in [input.a] is set twice"))
    }

    @Test func arraysOfTablesFollowOneAnother() throws {
        let first = "[input.a]\ntype = \"file\"\ninclude = [\"/a\"]\n[[input.a.redact]]\npattern = 'one'\n"
        try write("tailrace.toml", Self.output)
        try write("conf.d/a.toml", first)
        try write("conf.d/b.toml", "[[input.a.redact]]\npattern = 'two'\n[[input.a.redact]]\npatern = 'three'\n")
        // The third has a slip, which is told with its own line.
        let found = problems()
        #expect(Set(found.map(\.file)) == [directory("conf.d/b.toml")])
        #expect(found.contains { $0.line == 4 && $0.message.contains("patern") })
        try write("conf.d/b.toml", "[[input.a.redact]]\npattern = 'two'\n")
        #expect(try ConfigurationLoader.load(path: path).inputs.first?.filter.redact.count == 2)
    }

    @Test func mistakesAreToldWithTheLineOfTheirOwnFile() throws {
        try write("tailrace.toml", "[agent]\nhots = \"h\"\n" + Self.output)
        try write("conf.d/a.toml", "\n\n[input.a]\ntype = \"fiel\"\n")
        try write("conf.d/b.toml", "[spool]\nmaximum_size = 3\n")
        #expect(
            problems().map { "\($0.file):\($0.line ?? 0)" } == [
                "\(path):2", "\(directory("conf.d/a.toml")):4", "\(directory("conf.d/b.toml")):2",
            ])
        // What is no TOML is told of every file.
        try write("tailrace.toml", "[agent\n")
        try write("conf.d/a.toml", "[input.a]\ntype = \n")
        let found = problems()
        #expect(found.map(\.file) == [path, directory("conf.d/a.toml")])
        #expect(found.map(\.line) == [1, 2])
    }

    @Test func aFileThatAnybodyMayReadIsToldWithItsOwnName() throws {
        try write("tailrace.toml", "[input.a]\ntype = \"journal\"\n")
        chmod(
            try directory.write("Endpoint=sb://a/;SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=e", to: "k"),
            0o644)
        try write(
            "conf.d/a.toml", "[output.h]\ntype = \"eventhubs\"\nconnection_string_file = \"\(directory("k"))\"\n")
        let warnings = try ConfigurationLoader.load(path: path).warnings
        #expect(warnings.map(\.file) == [directory("conf.d/a.toml")])
        #expect(warnings.map(\.line) == [3])
    }

    @Test(arguments: [
        ("10-app.toml", true), ("ü.toml", true), ("app.toml~", false), (".app.toml.swp", false), (".#app.toml", false),
        ("#app.toml#", false), ("#app.toml", false), ("app.toml.dpkg-old", false), ("app.toml.dpkg-dist", false),
        ("app.toml.bak", false), ("app.conf", false), ("README", false), (".toml", false), ("app.TOML", false),
    ])
    func onlyFilesThatAreMeantCount(_ name: String, _ counts: Bool) throws {
        try write("tailrace.toml", "[input.a]\ntype = \"journal\"\n" + Self.output)
        try write("conf.d/\(name)", "this is nothing\n")
        #expect(problems().isEmpty != counts)
        #expect(ConfigurationText.counts(name) == counts)
    }

    @Test func aFileThatCannotBeReadIsAnError() throws {
        try write("tailrace.toml", "[input.a]\ntype = \"journal\"\n" + Self.output)
        mkdir(directory("conf.d"), 0o755)
        #expect(problems().isEmpty)
        #expect(symlink("/nonexistent/app.toml", directory("conf.d/app.toml")) == 0)
        #expect(problems().map(\.file) == [directory("conf.d/app.toml")])
        unlink(directory("conf.d/app.toml"))
        // A pipe that nobody writes into is not waited for.
        #expect(mkfifo(directory("conf.d/app.toml"), 0o600) == 0)
        #expect(problems().map(\.file) == [directory("conf.d/app.toml")])
        unlink(directory("conf.d/app.toml"))
        mkdir(directory("conf.d/app.toml"), 0o755)
        #expect(problems().map(\.file) == [directory("conf.d/app.toml")])
        rmdir(directory("conf.d/app.toml"))
        // How an administrator takes a file away that a package brings.
        #expect(symlink("/dev/null", directory("conf.d/app.toml")) == 0)
        #expect(problems().isEmpty)
        unlink(directory("conf.d/app.toml"))
        rmdir(directory("conf.d"))
        try directory.write("", to: "conf.d")
        #expect(problems().map(\.file) == [directory("conf.d")])
    }

    @Test func thereAreLimits() throws {
        try write("tailrace.toml", "[input.a]\ntype = \"journal\"\n" + Self.output)
        for number in 0..<ConfigurationText.maximumFiles { try write("conf.d/\(number).toml", "") }
        #expect(problems().isEmpty)
        try write("conf.d/one-more.toml", "")
        #expect(problems().map(\.message) == ["holds more than 256 files"])
        for number in 0..<ConfigurationText.maximumFiles { unlink(directory("conf.d/\(number).toml")) }
        let text = String(repeating: "# much\n", count: 149_000)
        for number in 0..<9 { try write("conf.d/\(number).toml", text) }
        #expect(problems().map(\.message) == ["holds more than 8388608 bytes"])
    }

    @Test func whatIsSaidThereIsNotBlankAnyMore() throws {
        try write("tailrace.toml", "[input.a]\ntype = \"journal\"\n[output.hub]\ntype = \"eventhubs\"\n")
        #expect(ConfigurationLoader.isBlank(path: path))
        try write("conf.d/input.toml", "[input.b]\ntype = \"journal\"\n")
        #expect(ConfigurationLoader.isBlank(path: path))
        try write("conf.d/output.toml", "[output.hub]\neventhub = \"logs\"\n")
        #expect(!ConfigurationLoader.isBlank(path: path))
        try write("conf.d/output.toml", "[output\n")
        #expect(!ConfigurationLoader.isBlank(path: path))
        // A mistake is one, whatever else is said.
        try write("conf.d/output.toml", "[output.hub]\ntype = \"pulsar\"\n")
        #expect(!ConfigurationLoader.isBlank(path: path))
    }

    @Test func thePlacesMayBeSaidThereToo() throws {
        try write("tailrace.toml", "[input.a]\ntype = \"journal\"\n" + Self.output)
        try write("conf.d/a.toml", "[agent]\nstate_directory = \"/srv/tailrace\"\n")
        #expect(try ConfigurationLoader.places(ofConfigurationAt: path).stateDirectory == "/srv/tailrace")
        // Who asks for the status of an agent that runs wants no lecture about what was written since.
        try write("conf.d/b.toml", "[output.hub]\ntype = \"pulsar\"\n")
        #expect(try ConfigurationLoader.places(ofConfigurationAt: path).stateDirectory == "/srv/tailrace")
    }
}
