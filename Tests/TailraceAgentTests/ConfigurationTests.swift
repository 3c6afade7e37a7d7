import EventHubs
import Glibc
import OpenSSLTransport
import TailraceInputs
import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct ConfigurationTests {
    static let canary = "CanaryKeyThatNobodyMaySee0123456789"
    static let connectionString =
        "Endpoint=sb://hub.example.net/;SharedAccessKeyName=send;SharedAccessKey=\(canary);EntityPath=logs"

    private let directory = TemporaryDirectory()
    static let inputLines = "[input.app]\ntype = \"file\"\ninclude = [\"/var/log/app/*.log\"]\n"
    static let outputLines =
        "[output.hub]\ntype = \"eventhubs\"\nconnection_string = \"\(connectionString)\"\n"

    private func load(_ text: String) throws(ConfigurationError) -> AgentConfiguration {
        try ConfigurationLoader.parse(Array(text.utf8), file: "t.toml")
    }

    private func problems(_ text: String) -> [ConfigurationProblem] {
        do throws(ConfigurationError) {
            _ = try load(text)
            return []
        } catch {
            return error.problems
        }
    }

    private func write(_ name: String, _ text: String, mode: mode_t = 0o600) {
        let descriptor = open(directory(name), O_WRONLY | O_CREAT | O_TRUNC, mode)
        defer { close(descriptor) }
        fchmod(descriptor, mode)
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
    }

    @Test func everyKeyIsRead() throws {
        let maker = try ThrowAwayAuthority()
        try maker.writeCertificate(to: directory("ca.pem"))
        let configuration = try load(
            """
            [agent]
            state_directory = "/srv/state"
            host = "web-1"
            metrics = "[::1]:9477"
            [spool]
            maximum_size = "1GiB"
            minimum_free = "2GiB"
            sync = "500ms"
            [input.app]
            type = "file"
            include = ["/var/log/app/*.log", "/srv/**/*.log"]
            exclude = ["*.gz"]
            maximum_line = 4096
            start = "end"
            ignore_older = "7d"
            line_end = "crlf"
            encoding = "utf-16le"
            deleted_minimum_free = "1GiB"
            [output.hub]
            type = "eventhubs"
            connection_string = "\(Self.connectionString)"
            eventhub = "logs"
            ca_file = "\(directory("ca.pem"))"
            transport = "amqp"
            key = "source"
            """)
        #expect(configuration.stateDirectory == "/srv/state")
        #expect(configuration.host == "web-1")
        #expect(configuration.metrics == ListenAddress(host: "::1", port: 9477))
        #expect(
            configuration.spool
                == SpoolSettings(maximumSize: 1 << 30, minimumFree: 2 << 30, sync: .interval(.milliseconds(500))))
        #expect(
            configuration.inputs == [
                InputSettings(
                    name: "app",
                    .file(
                        FileInputSettings(
                            include: ["/var/log/app/*.log", "/srv/**/*.log"], exclude: ["*.gz"], maximumLine: 4096,
                            start: .end, ignoreOlder: .seconds(7 * 86_400), lineEnd: .crlf,
                            encoding: .utf16LittleEndian, deletedMinimumFree: 1 << 30)))
            ])
        var output = EventHubsOutputSettings(
            name: "hub", connectionString: Secret(try EventHubsConnectionString(Self.connectionString)))
        output.eventHub = "logs"
        output.caFile = directory("ca.pem")
        output.key = .source
        #expect(configuration.outputs == [.eventHubs(output)])
        #expect(configuration.warnings.isEmpty)
    }

    @Test func whatIsNotWrittenHasItsDefault() throws {
        let configuration = try load(Self.inputLines + Self.outputLines)
        #expect(configuration.stateDirectory == "/var/lib/tailrace")
        #expect(configuration.host == ConfigurationLoader.machineName())
        #expect(configuration.metrics == nil)
        #expect(configuration.spool == SpoolSettings(maximumSize: 10 << 30, sync: .always))
        guard case .file(let input) = configuration.inputs[0].kind else {
            Issue.record("not a file input")
            return
        }
        #expect(input.start == .beginning)
        #expect(input.maximumLine == 960 << 10)
        #expect(configuration.eventHubs?.key == .host)
        #expect(configuration.eventHubs?.caFile == nil)
        #expect(configuration.eventHubs?.transport == .amqp)
    }

    @Test func theTransportReachesTheClientsOptions() throws {
        let configuration = try load(Self.inputLines + Self.outputLines + "transport = \"websocket\"")
        #expect(configuration.eventHubs?.transport == .webSocket)
        #expect(configuration.eventHubs?.connecting.transport == .webSocket)
    }

    @Test func theSampleIsValidOnceItsKeyExists() throws {
        write("hub.key", Self.connectionString + "\n")
        let sample = try Self.sample().replacing("/etc/tailrace/hub.key", with: directory("hub.key"))
        let configuration = try load(sample)
        #expect(configuration.inputs.map(\.name) == ["app"])
        #expect(configuration.outputs.map(\.name) == ["hub"])
        #expect(configuration.eventHubs?.connectionString?.reveal().sharedAccessKey == Self.canary)
        #expect(configuration.stateDirectory == "/var/lib/tailrace")
    }

    /// As it is installed, and with one line of it uncommented: either of the two.
    @Test func theInstalledFileWaitsAndIsValidOnceALineIsUncommented() throws {
        let installed = try Self.sample("tailrace.toml")
        #expect(isBlank(installed))
        #expect(!problems(installed).isEmpty)
        write("hub.key", Self.connectionString + "\n")
        let here = installed.replacing("/etc/tailrace/hub.key", with: directory("hub.key"))
        for line in ["connection_string", "connection_string_file"] {
            let text = here.replacing("# \(line) = ", with: "\(line) = ")
            #expect(text != here)
            #expect(!isBlank(text))
            let configuration = try load(text)
            #expect(configuration.inputs.map(\.name) == ["journal"])
            #expect(configuration.eventHubs?.eventHub == "logs")
        }
        // What it shows beside that is valid too.
        let all = here.replacing("# [input", with: "[input").replacing("# type", with: "type")
            .replacing("# include", with: "include").replacing("# listen", with: "listen")
            .replacing("# connection_string = ", with: "connection_string = ")
        #expect(try load(all).inputs.map(\.name) == ["journal", "app", "net"])
    }

    @Test func credentialsOfTheServiceAreFiles() throws {
        #expect(try ServiceCredential.path("/etc/tailrace/hub.key", directory: "/run/credentials/x.service") == nil)
        #expect(
            try ServiceCredential.path("credential:hub.key", directory: "/run/credentials/x.service")
                == "/run/credentials/x.service/hub.key")
        for name in ["", ".", "..", "a/b", "/etc/shadow", String(repeating: "n", count: 256)] {
            #expect(throws: ServiceCredential.Failure.name, "\(name)") {
                try ServiceCredential.path("credential:\(name)", directory: "/c")
            }
        }
        let output = "[output.h]\ntype = \"eventhubs\"\nconnection_string_file = \"credential:"
        for (name, word) in [("../k", "credential:NAME"), ("hub.key", "LoadCredential=")] {
            let found = problems("[input.a]\ntype = \"journal\"\n" + output + name + "\"\n")
            #expect(found.map(\.line) == [5])
            #expect(found.first?.remedy.contains(word) == true)
        }
    }

    @Test func onlyAConfigurationThatSaysNothingYetIsBlank() {
        let input = "[input.a]\ntype = \"journal\"\n"
        #expect(isBlank(""))
        #expect(isBlank("[agent]\nhost = \"a\"\n" + input))
        #expect(isBlank(input + "[output.h]\ntype = \"pulsar\"\n[output.i]\n"))
        // A slip is no blank, nor is what is no configuration: `load` names the line.
        #expect(!isBlank(input + "[output.h]\ntype = \"eventhubs\"\nconection_string_file = \"/k\"\n"))
        #expect(!isBlank(input + "[output.h\n"))
        #expect(!isBlank("[output.h]\ntype = \"eventhubs\"\nkey = \"host\"\n"))
        #expect(!isBlank(input + "[outptu.h]\ntype = \"pulsar\"\n"))
        #expect(!isBlank("output = 3\n"))
        #expect(!isBlank("[output]\nhub = \"eventhubs\"\n"))
        #expect(!ConfigurationLoader.isBlank(path: directory("none.toml")))
    }

    private func isBlank(_ text: String) -> Bool {
        write("blank.toml", text)
        return ConfigurationLoader.isBlank(path: directory("blank.toml"))
    }

    @Test func theSamplesJournalIsValidWithoutItsMarks() throws {
        let sample = try Self.sample()
        let block = sample.split(separator: "\n", omittingEmptySubsequences: false)
            .drop { !$0.hasPrefix("# [input.journal]") }.prefix { $0.hasPrefix("# ") }.map { $0.dropFirst(2) }
            .filter { !$0.hasPrefix("directory") }
        let configuration = try load(block.joined(separator: "\n") + "\n" + Self.outputLines)
        var expected = JournalConfiguration(name: "journal")
        expected.units = ["ssh.service"]
        expected.identifiers = ["sudo"]
        expected.priority = "warning"
        expected.matches = ["_TRANSPORT=kernel"]
        expected.namespace = "web"
        #expect(configuration.inputs == [InputSettings(name: "journal", .journal(expected))])
        #expect(
            ConfigurationReport.text(configuration).contains(
                "input journal: journal:web, from boot, only ssh.service, sudo, warning, _TRANSPORT=kernel\n    there is"
                    + " no journal of namespace web"))
        // The other way to another journal.
        let directory = try load("[input.j]\ntype = \"journal\"\ndirectory = \"/x\"\n" + Self.outputLines)
        expected = JournalConfiguration(name: "j")
        expected.directory = "/x"
        #expect(directory.inputs == [InputSettings(name: "j", .journal(expected))])
    }

    @Test func withoutItsKeyFileTheSampleNamesTheLine() throws {
        let problems = problems(try Self.sample().replacing("/etc/tailrace/hub.key", with: "/nonexistent/hub.key"))
        #expect(problems.count == 1)
        #expect(problems.first?.message.contains("/nonexistent/hub.key") == true)
        #expect(problems.first?.message.contains("No such file") == true)
        let line = try Self.sample().split(separator: "\n", omittingEmptySubsequences: false)
            .firstIndex { $0.contains("/etc/tailrace/hub.key") }
        #expect(problems.first?.line == line.map { $0 + 1 })
    }

    @Test(arguments: [
        ("[agent]\nhosst = \"a\"", 2, "unknown key \"hosst\" in [agent]", "\"host\""),
        ("[agnt]", 1, "unknown key \"agnt\"", "\"agent\""),
        ("[spool]\nmaximum-size = 1", 2, "unknown key \"maximum-size\" in [spool]", "\"maximum_size\""),
        ("[spool]\nzzz = 1", 2, "unknown key \"zzz\"", "known keys are maximum_size, minimum_free, sync"),
        ("[agent]\nstate_directory = \"var\"", 2, "absolute", "\"/\""),
        ("[agent]\nhost = 5", 2, "is an integer, not a string", "host = "),
        ("[agent]\nhost = \"\"", 2, "host name", "auto"),
        ("[agent]\nmetrics = \"9477\"", 2, "not an address", "127.0.0.1"),
        ("[agent]\nmetrics = \"a:b:1\"", 2, "not an address", "127.0.0.1"),
        ("[spool]\nmaximum_size = \"10 gigs\"", 2, "not a size", "64MiB"),
        ("[spool]\nmaximum_size = \"1MiB\"", 2, "is 1 MiB", "from 16 MiB"),
        ("[spool]\nmaximum_size = -1", 2, "not a size", "64MiB"),
        ("[spool]\nsync = \"allways\"", 2, "is \"allways\"", "\"always\""),
        ("[spool]\nsync = \"0s\"", 2, "is \"0s\"", "\"1ms\""),
        ("spool = 5", 1, "is an integer, not a table", "[spool]"),
        ("[input.x]\ninclude = []", 1, "type in [input.x] is missing", "\"file\""),
        ("[input.x]\ntype = \"syslog\"", 1, "listen in [input.x] is missing", "udp://"),
        ("[input.x]\ntype = \"syslog\"\nlisten = []", 3, "is empty", "udp://"),
        ("[input.x]\ntype = \"syslog\"\nlisten = [\"udp://host:514\"]", 3, "no place to listen", "an address"),
        ("[input.x]\ntype = \"syslog\"\nlisten = [\"udp://1.2.3.4:70000\"]", 3, "no place to listen", "an address"),
        ("[input.x]\ntype = \"syslog\"\nlisten = [\"udp://*:1\"]\nzone = \"Mars\"", 4, "no zone", "Europe/Berlin"),
        ("[input.x]\ntype = \"syslog\"\nlisten = [\"udp://*:1\"]\ntrust = [\"10.0.0.0/33\"]", 4, "range", "10.0.0.0/8"),
        ("[input.x]\ntype = \"syslog\"\nlisten = [\"udp://*:1\"]\nbuffer = \"1KiB\"", 4, "is 1 KiB", "from 4 MiB"),
        ("[input.x]\ntype = \"syslog\"\nlisten = [\"udp://*:1\"]\nidle_timeout = \"0s\"", 4, "is \"0s\"", "never"),
        ("[input.x]\ntype = \"syslog\"\nlisten = [\"tls://*:1\"]\nkey_file = \"\"", 1, "certificate_file", "PEM"),
        ("[input.x]\ntype = \"journal\"\nunits = [\"nginx*\"]", 3, "units in [input.x] holds \"nginx*\"", "in full"),
        ("[input.x]\ntype = \"journal\"\nidentifiers = [\"\"]", 3, "identifiers in [input.x] holds", "sudo"),
        ("[input.x]\ntype = \"journal\"\npriority = \"urgent\"", 3, "is \"urgent\"", "FROM..TO"),
        ("[input.x]\ntype = \"journal\"\nmatches = [\"/usr/bin/x\"]", 3, "holds \"/usr/bin/x\"", "FIELD=VALUE"),
        ("[input.x]\ntype = \"journal\"\nnamespace = \"*\"", 3, "is \"*\"", "one namespace"),
        ("[input.x]\ntype = \"journal\"\ndirectory = \"logs\"", 3, "absolute", "\"/\""),
        ("[input.x]\ntype = \"journal\"\nnamespace = \"a\"\ndirectory = \"/b\"", 4, "beside", "one of the two"),
        ("[input.x]\ntype = \"journal\"\nsince = \"boots\"", 3, "is \"boots\"", "\"boot\""),
        ("[input.x]\ntype = \"journal\"\nentry_fields = \"some\"", 3, "is \"some\"", "\"all\""),
        ("[input.x]\ntype = \"journal\"\ninclude = []", 3, "unknown key \"include\"", "known keys"),
        ("[input.x]\ntype = \"fiel\"", 2, "is \"fiel\"", "file"),
        ("[input.x]\ntype = \"file\"", 1, "include in [input.x] is missing", "include ="),
        ("[input.x]\ntype = \"file\"\ninclude = []", 3, "is empty", "at least one"),
        ("[input.x]\ntype = \"file\"\ninclude = \"/a\"", 3, "not an array", "[\"…\"]"),
        ("[input.x]\ntype = \"file\"\ninclude = [\n\"/a\",\n5]", 5, "an element", "quotes"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"a/*.log\"]", 3, "not absolute", "\"/\""),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/var/log/\"]", 3, "names no file", "*.log"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nstart = \"begin\"", 4, "is \"begin\"", "beginning"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmaximum_line = 1", 4, "is 1 B", "from 64 B"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = { start = '(x' }", 4, "at byte 2", "correct"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = \"jawa\"", 4, "is \"jawa\"", "\"java\""),
        (
            "[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = { timeout = \"1s\" }", 4, "has none",
            "one of start"
        ),
        (
            "[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = { start = 'a', end = 'b' }", 4,
            "start and end",
            "one of start"
        ),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = { stat = 'a' }", 4, "\"stat\"", "\"start\""),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = true", 4, "is a boolean", "java"),
        (
            "[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = { indent = true, timeout = \"0s\" }", 4,
            "is \"0s\"",
            "2s"
        ),
        (
            "[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nmultiline = { indent = true, maximum_lines = 1 }", 4,
            "is 1",
            "from 2"
        ),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nformat = \"docker\"", 4, "is \"docker\"", "docker-json"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nkeep = ['a', '[']", 4, "\"[\"", "correct"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\ndrop = []", 4, "is empty", "name a pattern"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nsample = 1.5", 4, "is 1.5", "up to 1"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nsample = 0", 4, "is 0", "above 0"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nredact = ['x']", 4, "a string, not a table", "pattern"),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nredact = [{ replace = 'x' }]", 4, "is missing", "replace ="),
        (
            "[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nredact = [{ pattern = 'x', replace = '$1' }]", 4,
            "names a group",
            "0 groups"
        ),
        (
            "[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nfields = { host = 'x' }", 4, "the agent itself",
            "another name"
        ),
        ("[input.x]\ntype = \"file\"\ninclude = [\"/a\"]\nfields = { team = 5 }", 4, "is an integer", "quotes"),
        ("[input.\"a/b\"]\ntype = \"file\"", 1, "cannot be the name", "letters"),
        ("[input]\ntype = \"file\"", 2, "is not a table", "[input.NAME]"),
        ("[output.x]\ntype = \"eventhub\"", 2, "is \"eventhub\"", "eventhubs"),
        ("[output.x]\ntype = \"eventhubs\"", 1, "connection_string_file in [output.x] is missing", "hub.key"),
        (
            "[output.x]\ntype = \"eventhubs\"\nconnection_string = \"a\"\nconnection_string_file = \"/b\"", 4,
            "beside", "one of the two"
        ),
        ("[output.x]\ntype = \"eventhubs\"\nconnection_string_file = \"b\"", 3, "absolute", "\"/\""),
        ("[output.x]\ntype = \"eventhubs\"\nconnection_string = \"Endpoint=sb://h/\"", 3, "is wrong", "copy it"),
        (
            "[output.x]\ntype = \"eventhubs\"\n"
                + "connection_string = \"Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=b\"", 1,
            "eventhub in [output.x] is missing", "eventhub ="
        ),
        (
            "[output.x]\ntype = \"eventhubs\"\neventhub = \"x\"\n"
                + "connection_string = \"Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=y\"", 3,
            "EntityPath", "one of the two"
        ),
        ("[output.hub.x]\ny = 1", 1, "type in [output.hub] is missing", "eventhubs"),
    ])
    func everyMistakeNamesItsLineAndTheRemedy(text: String, line: Int, message: String, remedy: String) {
        let found = problems(text)
        #expect(
            found.contains { $0.line == line && $0.message.contains(message) && $0.remedy.contains(remedy) },
            "\(found)")
    }

    @Test(arguments: [
        ("transport = \"tcp\"", "is \"tcp\""), ("key = \"hots\"", "is \"hots\""),
        ("ca_file = \"/nonexistent.pem\"", "cannot be read"),
        ("ca_file = \"ca.pem\"", "absolute"), ("conection_string = \"\"", "unknown key"),
    ])
    func outputMistakesNameTheirLine(text: String, message: String) {
        let found = problems(Self.inputLines + Self.outputLines + text)
        #expect(found.count == 1)
        #expect(found.first?.line == 7)
        #expect(found.first?.message.contains(message) == true, "\(found)")
    }

    @Test func aFileThatHoldsNoCertificateIsNoAuthority() {
        write("ca.pem", "nonsense")
        let found = problems(Self.inputLines + Self.outputLines + "ca_file = \"\(directory("ca.pem"))\"")
        #expect(found.map(\.line) == [7])
        #expect(found.first?.message.contains("cannot be used") == true, "\(found)")
    }

    @Test func allMistakesAreToldAtOnceInTheOrderOfTheFile() {
        let found = problems("[agent]\nhosst = 1\n[spool]\nsync = 5\nmax = 1\n[output.o]\ntype = 1")
        #expect(found.map(\.line) == [2, 4, 5, 6, 7])
        for problem in found { #expect(!problem.description.contains("\n")) }
    }

    @Test func anEmptyFileNeedsAnInputAndAnOutput() {
        #expect(problems("").map(\.message) == ["there is no input", "there is no output"])
    }

    @Test func aProblemIsOneLineWithPlaceAndRemedy() {
        let found = problems("[spool]\nsycn = \"always\"\n" + Self.inputLines + Self.outputLines)
        #expect(
            found.map(\.description) == ["t.toml:2: unknown key \"sycn\" in [spool]; did you mean \"sync\"?"])
    }

    @Test func aKeyFileThatEverybodyCanReadIsAWarning() throws {
        write("hub.key", "\n \(Self.connectionString) \r\n", mode: 0o644)
        let output = "[output.hub]\ntype = \"eventhubs\"\nconnection_string_file = \"\(directory("hub.key"))\"\n"
        let configuration = try load(Self.inputLines + output)
        #expect(configuration.eventHubs?.connectionString?.reveal().sharedAccessKey == Self.canary)
        #expect(configuration.warnings.map(\.line) == [6])
        #expect(configuration.warnings[0].message.contains("everybody"))
    }

    @Test func anEmptyKeyFileIsAnError() {
        write("hub.key", "\n")
        let output = "[output.hub]\ntype = \"eventhubs\"\nconnection_string_file = \"\(directory("hub.key"))\"\n"
        #expect(problems(Self.inputLines + output).first?.message.contains("empty file") == true)
    }

    @Test func aMissingConfigurationSaysSo() {
        let error = #expect(throws: ConfigurationError.self) {
            try ConfigurationLoader.load(path: "/nonexistent/tailrace.toml")
        }
        #expect(error?.description.contains("/nonexistent/tailrace.toml: cannot read") == true)
    }

    @Test func noErrorAndNoDescriptionShowsTheKey() throws {
        let configuration = try load(Self.inputLines + Self.outputLines)
        var text = "\(configuration) \(String(reflecting: configuration))"
        dump(configuration, to: &text)
        #expect(!text.contains(Self.canary))
        #expect(text.contains("[redacted]"))
        // Every mutation of a configuration with a key in it: no error may show more than a few bytes of it.
        var generator = SeededGenerator.fresh("redaction")
        for _ in 0..<2000 {
            let bytes = generator.mutate(Array((Self.inputLines + Self.outputLines).utf8))
            do throws(ConfigurationError) {
                _ = try ConfigurationLoader.parse(bytes, file: "t.toml")
            } catch {
                #expect(!error.description.contains(Self.canary.prefix(16)), "\(error)")
            }
        }
    }

    @Test func everyMisspeltKeyOfTheSampleIsAnError() throws {
        let sample = try Self.sample()
        let lines = sample.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var mutated = 0
        for (index, line) in lines.enumerated() where line.contains(" = ") && !line.hasPrefix("#") {
            var copy = lines
            copy[index] = "q" + line
            let found = problems(copy.joined(separator: "\n"))
            #expect(
                found.contains { $0.line == index + 1 && $0.message.contains("unknown key \"q") }, "\(line): \(found)")
            mutated += 1
        }
        #expect(mutated == 15)
    }

    @Test func aMutatedSampleNeverTraps() throws {
        let sample = Array(try Self.sample().utf8)
        for seed in [1, 2] as [UInt64] { run(SeededGenerator(seed: seed)) }
        run(.fresh("configuration"))
        func run(_ generator: SeededGenerator) {
            var generator = generator
            for _ in 0..<500 { _ = try? ConfigurationLoader.parse(generator.mutate(sample), file: "t.toml") }
        }
    }

    /// What is shown of every key; or another file beside it.
    static func sample(_ name: String = "every-key.toml") throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return ChildProcess.text("/\(root)/etc/tailrace/\(name)")
    }

    // MARK: Pulsar

    private static let pulsarLines = """
        [output.pulsar]
        type = "pulsar"
        service_url = "pulsar+ssl://broker-1,broker-2:7000"
        topic = "tenant/space/logs"

        """

    @Test func aTopicNeedsNoMoreThanItsPlace() throws {
        let configuration = try load("[agent]\nhost = \"web-1\"\n" + Self.inputLines + Self.pulsarLines)
        var output = PulsarOutputSettings(
            name: "pulsar", serviceURL: "pulsar+ssl://broker-1:6651,broker-2:7000",
            topic: "persistent://tenant/space/logs", host: "web-1")
        #expect(configuration.outputs == [.pulsar(output)])
        output.producerName = "tailrace-web-1-pulsar"
        #expect(configuration.outputs == [.pulsar(output)])
        #expect(
            ConfigurationReport.text(configuration).contains("output pulsar: topic persistent://tenant/space/logs at"))
    }

    @Test func everyKeyOfATopicIsRead() throws {
        write("password", "CanaryPassword\n")
        for file in ["ca.pem", "client.pem", "client.key"] { write(file, "x") }
        let configuration = try load(
            Self.inputLines + Self.pulsarLines
                + """
                basic_user = "shipper"
                basic_password_file = "\(directory("password"))"
                client_certificate = "\(directory("client.pem"))"
                client_key = "\(directory("client.key"))"
                ca_file = "\(directory("ca.pem"))"
                listener_name = "outside"
                compression = "zlib"
                batch_size = "64KiB"
                batch_records = 500
                producer_name = "one"
                key = "source"
                """)
        var output = PulsarOutputSettings(
            name: "pulsar", serviceURL: "pulsar+ssl://broker-1:6651,broker-2:7000",
            topic: "persistent://tenant/space/logs", host: "")
        output.identity = .basic(user: "shipper", password: Secret("CanaryPassword"))
        output.clientCertificate = .init(
            chainFile: directory("client.pem"), privateKeyFile: directory("client.key"))
        output.caFile = directory("ca.pem")
        output.listenerName = "outside"
        output.compression = .zlib
        output.batchSize = 64 << 10
        output.batchRecords = 500
        output.producerName = "one"
        output.key = .source
        #expect(configuration.outputs == [.pulsar(output)])
        #expect(!"\(configuration)".contains("CanaryPassword"))
        guard case .pulsar(let read)? = configuration.outputs.first else { return }
        #expect(read.connecting.listenerName == "outside")
        #expect(read.connecting.tls.clientCertificate == output.clientCertificate)
    }

    @Test func theSamplesTopicIsValidOnceItsFilesExist() throws {
        for file in ["pulsar.token", "pulsar.pem", "pulsar.key"] { write(file, "x") }
        let sample = try Self.sample()
        let start = try #require(sample.firstRange(of: "# [output.pulsar]"))
        let lines = sample[start.lowerBound...].split(separator: "\n").map { line in
            line.hasPrefix("# ") ? line.dropFirst(2) : line
        }.filter { line in
            ["basic_", "Who the", "oauth2_", "listener", "producer_name"].allSatisfy { !line.hasPrefix($0) }
        }
        let text = lines.joined(separator: "\n").replacing("/etc/tailrace/", with: directory(""))
        guard case .pulsar(let output)? = try load(Self.inputLines + text).outputs.first else {
            Issue.record("no topic")
            return
        }
        #expect(output.identity == .tokenFile(directory("pulsar.token")))
        #expect(output.key == .source && output.compression == .none && output.batchSize == 1 << 20)
    }

    @Test(arguments: [
        ("service_url = \"http://a\"\ntopic = \"t\"", "service_url is wrong: "),
        ("topic = \"t\"", "service_url is missing"), ("service_url = \"pulsar://a\"", "topic is missing"),
        ("service_url = \"pulsar://a\"\ntopic = \"a/b\"", "topic is wrong: "),
        ("compresion = \"zlib\"", "did you mean compression?"), ("compression = \"gzip\"", "is gzip"),
        ("batch_size = 5", "batch_size is 5 B"), ("batch_records = 0", "batch_records is 0"),
        ("batch_records = \"many\"", "is a string, not a number"), ("producer_name = \"a b\"", "is no name"),
        ("token_file = \"t\"", "token_file is not an absolute path"),
        ("token_file = \"/nonexistent\"", "cannot be read"), ("basic_user = \"a\"", "basic_password_file is missing"),
        ("basic_password_file = \"/a\"", "basic_user is missing"),
        ("client_key = \"/nonexistent\"", "client_certificate is missing"),
        ("service_url = \"pulsar://a\"\nca_file = \"/dev/null\"", "ca_file has no use without TLS"),
        ("idempotent = \"auto\"", "unknown key idempotent"),
        ("oauth2_scope = \"a\"", "oauth2_scope stands without oauth2_issuer_url"),
        ("oauth2_issuer_url = \"https://a\"", "oauth2_issuer_url needs to know who asks"),
        (
            "oauth2_issuer_url = \"ftp://a\"\noauth2_client_id = \"a\"\noauth2_client_secret_file = \"/etc/hostname\"",
            "oauth2_issuer_url cannot be used"
        ),
        (
            "token_file = \"/etc/hostname\"\noauth2_issuer_url = \"https://a\"",
            "oauth2_issuer_url stands beside token_file"
        ),
    ])
    func whatIsWrongWithATopicIsNamed(lines: String, text: String) {
        var table = "[output.x]\ntype = \"pulsar\"\n\(lines)\n"
        for (key, value) in [("service_url", "pulsar+ssl://a"), ("topic", "t")]
        where !lines.contains("\(key) =") && !text.contains(key) {
            table += "\(key) = \"\(value)\"\n"
        }
        let problems = problems(Self.inputLines + table)
        let descriptions = problems.map(\.description).joined(separator: "\n").replacing("\"", with: "")
            .replacing(" in [output.x]", with: "")
        #expect(descriptions.contains(text), "\(descriptions)")
    }

    // MARK: The way to the hub, and the identity

    @Test func theWayToTheHubIsRead() throws {
        write("password", "CanaryPassword\n")
        let output = try #require(
            try load(
                Self.inputLines + Self.outputLines
                    + """
                    transport = "websocket"
                    proxy = "http://proxy.example.net:3128"
                    proxy_user = "agent"
                    proxy_password_file = "\(directory("password"))"
                    custom_endpoint = "gateway.example.net:8443"
                    idempotent = "always"
                    """
            ).eventHubs)
        #expect(output.transport == .webSocket && output.idempotent == .always)
        #expect(
            output.proxy
                == EventHubsProxy(host: "proxy.example.net", port: 3128, user: "agent", password: "CanaryPassword"))
        let endpoint = try output.endpoint()
        #expect(endpoint.host == "hub.example.net" && endpoint.route.host == "gateway.example.net")
        #expect(endpoint.route.port == 8443 && endpoint.route.proxy?.host == "proxy.example.net")
        #expect(!"\(output)".contains("CanaryPassword"))
    }

    @Test(arguments: [
        ("transport = \"udp\"", "transport"), ("idempotent = \"sometimes\"", "idempotent"),
        ("proxy = \"proxy.example.net:3128\"", "proxy has no scheme"),
        ("proxy = \"socks5://proxy.example.net:1\"", "proxy is not an http proxy"),
        ("proxy = \"http://proxy.example.net\"", "proxy is not an address with a port"),
        ("proxy = \"http://me:CanaryPassword@proxy:1\"", "proxy holds a user or a password"),
        ("proxy_user = \"me\"", "proxy_user stands without a proxy"),
        ("proxy = \"http://p:1\"\nproxy_user = \"a:b\"", "proxy_user has a colon in it"),
        ("proxy = \"http://p:1\"\nproxy_password_file = \"/does/not/exist\"", "cannot be read"),
        ("custom_endpoint = \"http://x y\"", "custom_endpoint cannot be used"),
        ("client_id = \"x\"", "client_id stands without auth"),
        ("auth = \"managed_identity\"", "stands beside namespace and auth"),
        ("auth = \"password\"", "auth"), ("transprot = \"amqp\"", "did you mean \"transport\""),
    ])
    func whatIsWrongWithTheWayIsNamed(lines: String, text: String) throws {
        let problems = problems(Self.inputLines + Self.outputLines + lines + "\n")
        let descriptions = problems.map(\.description).joined(separator: "\n").replacing("\"", with: "")
            .replacing(" in [output.hub]", with: "")
        #expect(descriptions.contains(text.replacing("\"", with: "")), "\(descriptions)")
        #expect(problems.allSatisfy { $0.line != nil })
        #expect(!descriptions.contains("Canary"))
    }

    private static let identityLines =
        "[output.hub]\ntype = \"eventhubs\"\nnamespace = \"contoso\"\neventhub = \"logs\"\n"

    @Test func anIdentityIsReadInPlaceOfAKey() throws {
        write("secret", "CanarySecret\n")
        for (lines, kind) in [
            ("auth = \"managed_identity\"", EntraIdentity.Kind.managedIdentity),
            ("auth = \"managed_identity\"\nclient_id = \"1-2-3\"", .managedIdentity),
            (
                "auth = \"client_secret\"\nclient_id = \"1-2-3\"\ntenant_id = \"4-5-6\"\nclient_secret_file = \""
                    + directory("secret") + "\"", .clientSecret
            ),
            (
                "auth = \"workload_identity\"\nclient_id = \"1-2-3\"\ntenant_id = \"4-5-6\"\ntoken_file = \"/t\"",
                .workloadIdentity
            ),
        ] {
            let output = try #require(try load(Self.inputLines + Self.identityLines + lines + "\n").eventHubs)
            #expect(output.identity?.kind == kind && output.connectionString == nil)
            let endpoint = try output.endpoint()
            #expect(endpoint.host == "contoso.servicebus.windows.net" && endpoint.hub == "logs")
            #expect(!"\(output)".contains("CanarySecret"))
        }
    }

    @Test(arguments: [
        ("auth = \"client_secret\"", "tenant_id is missing"),
        ("auth = \"client_secret\"", "client_secret_file is missing"),
        ("auth = \"managed_identity\"\ntenant_id = \"x\"", "tenant_id does not belong to auth"),
        (
            "auth = \"workload_identity\"\nclient_secret_file = \"/does/not/exist\"",
            "client_secret_file does not belong"
        ),
        ("", "auth is missing"),
    ])
    func whatIsWrongWithAnIdentityIsNamed(lines: String, text: String) throws {
        let problems = problems(Self.inputLines + Self.identityLines + lines + "\n")
        let descriptions = problems.map(\.description).joined(separator: "\n").replacing("\"", with: "")
            .replacing(" in [output.hub]", with: "")
        #expect(descriptions.contains(text), "\(descriptions)")
    }
}

extension AgentConfiguration {
    /// Of the first output, which is an event hub.
    fileprivate var eventHubs: EventHubsOutputSettings? {
        if case .eventHubs(let settings) = outputs.first { settings } else { nil }
    }
}
