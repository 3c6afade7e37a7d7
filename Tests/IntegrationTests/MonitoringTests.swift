import Glibc
import LocalHub
import Logging
import TestSupport
import Testing
import Transports

/// What `packaging/monitoring` and tailrace(8) say of metrics, against a real agent and Prometheus' own tool.
@Suite struct MonitoringTests {
    private let directory = TemporaryDirectory("monitoring")
    private static let folder = "\(HazardTests.root)/packaging/monitoring"
    private static let rules = "\(folder)/tailrace.rules.yml"
    private static let ruleTests = "\(HazardTests.root)/Tests/monitoring/tailrace.rules.test.yml"

    private func promtool(_ words: String..., input: String = "/dev/null") throws -> ChildProcess {
        try ChildProcess("/usr/bin/promtool", words, input: input)
    }

    /// An agent with inputs of two kinds and a connected output, and what it exports.
    private func export(_ agent: inout AgentProcess?) async throws -> ExportedMetrics {
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.partitionCount = 3
        let hub = try LocalHub(configuration, logger: Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() })
        _ = try await hub.start()
        let (port, syslog) = (try LocalPort.free(), try LocalPort.free())
        let running = try AgentProcess(
            directory, settings: "[input.net]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:\(syslog)\"]",
            output: "connection_string = \"\(hub.connectionString)\"", agentSettings: "metrics = \"127.0.0.1:\(port)\"")
        agent = running
        try running.log(Array("one\ntwo\n".utf8))
        _ = try await running.status { $0.number("acknowledged", in: "outputs") == 2 }
        let metrics = try await ExportedMetrics.get(port)
        #expect(running.stop() == .code(0))
        await hub.stop()
        return metrics
    }

    @Test func promtoolFindsNothingToSayAndEveryMetricIsInTheManual() async throws {
        var agent: AgentProcess?
        let metrics = try await export(&agent)
        try AgentProcess.write(metrics.text, to: directory("metrics"))
        let check = try promtool("check", "metrics", input: directory("metrics"))
        #expect(check.wait() == .code(0))
        #expect(check.output + check.errorOutput == "")

        for (name, type) in metrics.types {
            #expect(["counter", "gauge"].contains(type), "\(name): \(type)")
            #expect((type == "counter") == name.hasSuffix("_total"), "\(name) is a \(type)")
            #expect(metrics.text.contains("# HELP \(name) "))
        }
        #expect(metrics.sum("tailrace_output_acknowledged_records_total{output=\"hub\"}") == 2)
        #expect(metrics.sum("tailrace_output_partition_acknowledged_records_total") == 2)
        #expect(metrics.sum("process_resident_memory_bytes") > 1_000_000)
        #expect(
            metrics.series.contains("tailrace_input_dropped_records_total{input=\"net\",reason=\"lost in the kernel\"}")
        )

        let described = ManualPage.operations.items("Ic", under: "Metrics")
        #expect(Set(described) == Set(metrics.types.keys))
        #expect(Set(described).count == described.count)

        for file in ["tailrace.rules.yml", "tailrace.dashboard.json"] {
            let names = ExportedMetrics.names(in: ChildProcess.text("\(Self.folder)/\(file)"))
            #expect(names.count > 10)
            #expect(names.subtracting(metrics.types.keys) == [], "\(file) names what no agent exports")
        }
    }

    /// A file, a connection or a sender has no series of its own.
    @Test func thousandsOfFilesAreNoMoreSeriesThanOne() async throws {
        let ports = [try LocalPort.free(), try LocalPort.free()]
        var series: [Set<String>] = []
        for (port, files) in zip(ports, [1, 3000]) {
            let place = TemporaryDirectory("files")
            mkdir(place("logs"), 0o755)
            for number in 0..<files {
                try AgentProcess.write("a line\n", to: place("logs/\(number).log"))
            }
            let agent = try AgentProcess(
                place,
                output: "connection_string = \"Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b;"
                    + "EntityPath=logs\"", agentSettings: "metrics = \"127.0.0.1:\(port)\"")
            let status = try await agent.status { $0.number("existed", in: "inputs") == files }
            // Nor does the status grow without limit.
            #expect(status.text.ranges(of: "\"path\":").count == min(files, 100))
            let metrics = try await ExportedMetrics.get(port)
            #expect(metrics.sum("tailrace_input_sources{input=\"app\"}") == Double(files))
            series.append(Set(metrics.series))
            #expect(series.last?.count == metrics.series.count)
            #expect(agent.stop() == .code(0))
        }
        #expect(series[0] == series[1])
        #expect(series[0].count < 100)
    }

    // MARK: Ready

    @Test func anAgentIsReadyOnceItsOutputIsConnectedOrKnownToWait() async throws {
        // Accepts, and says nothing: nobody knows yet.
        let server = try await ScriptedServer.start([{ _ in "" }])
        let port = try LocalPort.free()
        let agent = try AgentProcess(
            directory,
            output: "connection_string = \"Endpoint=sb://127.0.0.1:\(server.port);SharedAccessKeyName=a;"
                + "SharedAccessKey=b;EntityPath=logs;UseDevelopmentEmulator=true\"",
            agentSettings: "metrics = \"127.0.0.1:\(port)\"")
        func ready(until isExpected: (PlainHTTP.Reply) -> Bool) async throws -> PlainHTTP.Reply {
            while true {
                if let reply = PlainHTTP.get("/ready", port: port), isExpected(reply) { return reply }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        let waits = try await ready { !$0.body.contains("not begun") }
        #expect(waits.status == 503 && waits.body == "output hub: connecting\n")
        // It takes what comes all the same.
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.number("existed", in: "inputs") == 1 }
        await server.stop()
        let reply = try await ready { $0.status == 200 }
        #expect(reply.body == "ok\n")
        #expect(PlainHTTP.get("/health", port: port)?.status == 200)
        let status = try await agent.status { _ in true }
        #expect(!status.text.contains("\"state\":\"connect"))
        #expect(agent.stop() == .code(0))
    }

    // MARK: Alerts

    @Test func theAlertsAreValidAndDoWhatTheirTestsSay() throws {
        let check = try promtool("check", "rules", "--lint=all", "--lint-fatal", Self.rules)
        #expect(check.wait() == .code(0), "\(check.errorOutput)")
        let test = try promtool("test", "rules", Self.ruleTests)
        #expect(test.wait() == .code(0), "\(test.output)")
    }

    /// Each fires when it should, and is quiet when it should be.
    @Test func everyAlertHasTestsAndARemedy() throws {
        let alerts = ChildProcess.text(Self.rules).split(separator: "- alert: ").dropFirst()
        #expect(alerts.count > 10)
        let cases = ChildProcess.text(Self.ruleTests).split(separator: "- eval_time: ").dropFirst()
        for alert in alerts {
            let name = String(alert.prefix { $0 != "\n" })
            let own = cases.filter { $0.contains("alertname: \(name)\n") }
            #expect(own.contains { $0.contains("exp_alerts: []") }, "\(name) is never quiet")
            #expect(own.contains { $0.contains("exp_annotations:") }, "\(name) never fires")
            #expect(alert.contains("severity: critical") || alert.contains("severity: warning"), "\(name)")
            #expect(alert.contains("summary: ") && alert.contains("description: "), "\(name)")
        }
    }

    // MARK: The dashboard

    /// Grafana itself is in no Debian: its form is checked as far as Grafana's own documentation has it.
    @Test func theDashboardIsWellFormed() throws {
        let json = try JSONValue(ChildProcess.bytes("\(Self.folder)/tailrace.dashboard.json"))
        #expect(json["uid"]?.text == "tailrace" && json["title"]?.text == "Tailrace")
        #expect((json["schemaVersion"]?.integer ?? 0) >= 30)
        let variables = try #require(json["templating"]?["list"]).elements.compactMap { $0["name"]?.text }
        #expect(variables == ["datasource", "instance"])
        let panels = try #require(json["panels"]).elements
        let identifiers = panels.compactMap { $0["id"]?.integer }
        #expect(identifiers.count == panels.count && Set(identifiers).count == panels.count)
        var taken: Set<[Int64]> = []
        var expressions: [String] = []
        for panel in panels {
            let title = panel["title"]?.text ?? ""
            #expect(!title.isEmpty)
            let grid = try #require(panel["gridPos"])
            let (x, y) = (try #require(grid["x"]?.integer), try #require(grid["y"]?.integer))
            let (width, height) = (try #require(grid["w"]?.integer), try #require(grid["h"]?.integer))
            #expect(x >= 0 && width > 0 && height > 0 && x + width <= 24, "\(title)")
            for column in x..<x + width {
                for row in y..<y + height { #expect(taken.insert([column, row]).inserted, "\(title) lies on another") }
            }
            switch panel["type"]?.text {
            case "row": #expect(panel["targets"] == nil)
            case "stat", "timeseries":
                #expect(panel["description"]?.text?.isEmpty == false, "\(title)")
                #expect(panel["fieldConfig"]?["defaults"]?["unit"]?.text?.isEmpty == false, "\(title)")
                let targets = try #require(panel["targets"]).elements
                #expect(!targets.isEmpty, "\(title)")
                #expect(Set(targets.compactMap { $0["refId"]?.text }).count == targets.count, "\(title)")
                for part in [panel] + targets {
                    #expect(part["datasource"]?["uid"]?.text == "${datasource}", "\(title)")
                }
                expressions += targets.compactMap { $0["expr"]?.text }
            case let type: Issue.record("a panel of type \(type ?? "none"): \(title)")
            }
        }
        #expect(expressions.count > 20)
        let annotations = try #require(json["annotations"]?["list"]).elements
        expressions += annotations.compactMap { $0["expr"]?.text }
        // Prometheus parses each, once Grafana's variables are filled in.
        var rules = "groups:\n  - name: dashboard\n    rules:\n"
        for (index, expression) in expressions.enumerated() {
            #expect(expression.contains("$instance"), "\(expression) is of all agents")
            let filled = expression.replacing("$__rate_interval", with: "5m").replacing("$instance", with: "web-1")
            #expect(!filled.contains("$"), "\(expression)")
            rules += "      - record: dashboard:\(index)\n        expr: |\n          \(filled)\n"
        }
        try AgentProcess.write(rules, to: directory("dashboard.yml"))
        let check = try promtool("check", "rules", directory("dashboard.yml"))
        #expect(check.wait() == .code(0), "\(check.errorOutput)")
    }
}

extension JSONValue {
    fileprivate var elements: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }
}
