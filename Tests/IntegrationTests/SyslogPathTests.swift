import AMQP
import Glibc
import HubReading
import LocalHub
import OpenSSLTransport
import TestSupport
import Testing

/// Syslog through the whole path, sent by programs that are not ours: logger in all of its modes, and rsyslog.
@Suite struct SyslogPathTests {
    private let directory = TemporaryDirectory("syslog")

    private func hub() async throws -> LocalHub { try await LocalHub.started(in: directory) }

    private func agent(_ hub: LocalHub, port: Int, tls: Int) throws -> AgentProcess {
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        try authority.issue(names: ["127.0.0.1"]).write(
            to: TLSIdentityFiles(certificateChain: directory("server.pem"), privateKey: directory("server.key")))
        return try AgentProcess(
            directory,
            settings: """
                [input.net]
                type = "syslog"
                listen = ["udp://127.0.0.1:\(port)", "tcp://127.0.0.1:\(port)", "tls://127.0.0.1:\(tls)",
                    "unix://\(directory("log"))"]
                zone = "UTC"
                certificate_file = "\(directory("server.pem"))"
                key_file = "\(directory("server.key"))"
                """,
            output: hub.output(directory))
    }

    private func logger(_ arguments: String...) throws {
        let child = try ChildProcess("/usr/bin/logger", arguments)
        #expect(child.wait() == .code(0), "\(child.errorOutput)")
    }

    private func properties(_ event: HubConsumer.Event, _ names: String...) -> [String] {
        names.map { name in
            switch event.message.applicationProperties[string: name] {
            case .string(let text): text
            case .long(let number): "\(number)"
            case nil: "-"
            case let other: "\(String(describing: other))"
            }
        }
    }

    @Test func loggerAndRsyslogArriveInAllTheirModes() async throws {
        let hub = try await hub()
        let (port, tls) = (try LocalPort.free(), try LocalPort.free())
        let agent = try agent(hub, port: port, tls: tls)
        _ = try await agent.status { $0.text.contains("\"net\"") }
        let to = ["-n", "127.0.0.1", "-P", "\(port)"]
        let base = ["-p", "mail.warning", "-t", "prog", "--id=77"]
        let modes: [(String, [String])] = [
            ("udp-3164", to + ["-d", "--rfc3164"]), ("udp-5424", to + ["-d", "--rfc5424"]),
            ("tcp-3164", to + ["-T", "--rfc3164"]), ("tcp-5424", to + ["-T", "--rfc5424"]),
            ("counted-3164", to + ["-T", "--octet-count", "--rfc3164"]),
            ("counted-5424", to + ["-T", "--octet-count", "--rfc5424"]), ("path", ["-u", directory("log")]),
            (
                "data",
                to + ["-d", "--rfc5424", "--msgid", "ID9", "--sd-id", "zoo@123", "--sd-param", "tiger=\"hun\\\"gry\""]
            ),
        ]
        for (name, arguments) in modes {
            let child = try ChildProcess("/usr/bin/logger", base + arguments + ["text of \(name)"])
            #expect(child.wait() == .code(0), "\(child.errorOutput)")
        }
        let rsyslog = try startRsyslog(port: port, tls: tls)
        for number in 0..<20 { try logger("-u", directory("in.sock"), "-t", "via", "rsyslog \(number)") }
        let total = modes.count + 3 * 20
        let events = try await consume(hub, total)
        #expect(events.count == total)
        for (name, _) in modes {
            let mine = events.filter { String(decoding: $0.body, as: UTF8.self).contains("text of \(name)") }
            let event = try #require(mine.first)
            #expect(mine.count == 1)
            #expect(
                properties(event, "severity", "facility", "app", "pid", "input", "parse_error")
                    == ["4", "2", "prog", "77", "net", "-"], "\(name)")
            let isLocal = name == "path"
            #expect(
                properties(event, "host", "peer") == (isLocal ? ["test-host", "-"] : ["127.0.0.1", "127.0.0.1"]),
                "\(name)")
            #expect(event.message.applicationProperties[string: "event_time"] != nil, "\(name)")
            if name == "data" {
                #expect(properties(event, "msgid") == ["ID9"])
                #expect(properties(event, "sd")[0].contains("[zoo@123 tiger=\"hun\\\"gry\"]"))
            }
        }
        // Each message came once by UDP, once by TCP and once by TLS, in order.
        for format in ["<13>1 ", "<13>20", "<13>"] {
            let mine = events.map { String(decoding: $0.body, as: UTF8.self) }.filter { text in
                guard text.contains("via"), text.hasPrefix(format) else { return false }
                return format != "<13>" || !(text.hasPrefix("<13>1 ") || text.hasPrefix("<13>20"))
            }
            #expect(mine.count == 20, "\(format)")
            #expect(mine.enumerated().allSatisfy { $1.hasSuffix("rsyslog \($0)") || $1.hasSuffix("rsyslog \($0)\n") })
        }
        rsyslog.signal(SIGTERM)
        _ = rsyslog.wait()
        let status = try await agent.status { $0.number("acknowledged", in: "inputs") != nil }
        #expect(status.text.contains("receive buffer"))
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    private func systemdAgent(_ hub: LocalHub, listen: String, _ activation: [String]) throws -> AgentProcess {
        try AgentProcess(
            directory,
            settings: """
                [input.net]
                type = "syslog"
                listen = [\(listen)]
                """,
            output: """
                connection_string = "\(hub.connectionString)"
                ca_file = "\(directory("certificates/ca.pem"))"
                """,
            launcher: ["/usr/bin/systemd-socket-activate"] + activation)
    }

    private func consume(_ hub: LocalHub, _ count: Int) async throws -> [HubConsumer.Event] {
        let consumer = try await HubConsumer(
            port: hub.port, authorityFile: directory("certificates/ca.pem"),
            user: hub.configuration.sharedAccessKeyName,
            password: hub.configuration.sharedAccessKey, hub: hub.configuration.hubName, partitions: 2)
        let events = await consumer.events(atLeast: count)
        try await consumer.close()
        return events
    }

    /// The service manager listens, and starts the agent with what has come first: that is not lost, be it a connection by
    /// address or by path.
    @Test func streamsThatSystemdPassesAreTakenByTheirNames() async throws {
        let hub = try await hub()
        let port = try LocalPort.free()
        let path = directory("stream")
        let agent = try systemdAgent(
            hub, listen: "\"systemd:web\", \"systemd:local\"",
            ["-l", "127.0.0.1:\(port)", "-l", path, "--fdname=web:local"])
        while access(path, F_OK) != 0 { usleep(5000) }
        try logger("-T", "-n", "127.0.0.1", "-P", "\(port)", "-t", "first", "starts it by TCP")
        try logger("-u", path, "-t", "second", "comes by a path")
        for number in 0..<20 { try logger("-u", path, "-t", "more", "path \(number)") }
        let events = try await consume(hub, 22)
        let texts = events.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(texts.count == 22)
        for (text, host, app) in [
            ("starts it by TCP", "127.0.0.1", "first"), ("comes by a path", "test-host", "second"),
            ("path 19", "test-host", "more"),
        ] {
            let event = try #require(events.first { String(decoding: $0.body, as: UTF8.self).contains(text) })
            #expect(properties(event, "host", "app", "input") == [host, app, "net"])
        }
        let status = try await agent.status { $0.text.contains("\"acknowledged\":22") }
        #expect(status.text.contains("systemd:web (127.0.0.1:\(port))"))
        #expect(status.text.contains("systemd:local"))
        #expect(agent.stop() == .code(0))
        await hub.stop()
    }

    @Test func datagramsThatSystemdPassesAreTakenByTheirNames() async throws {
        let hub = try await hub()
        let path = directory("datagrams")
        let agent = try systemdAgent(hub, listen: "\"systemd:log\"", ["--datagram", "-l", path, "--fdname=log"])
        while access(path, F_OK) != 0 { usleep(5000) }
        for number in 0..<5 { try logger("-u", path, "-t", "early", "datagram \(number)") }
        let events = try await consume(hub, 5)
        #expect(
            Set(events.map { String(String(decoding: $0.body, as: UTF8.self).suffix(10)) })
                == Set((0..<5).map { "datagram \($0)" }))
        #expect(events.allSatisfy { properties($0, "host", "app") == ["test-host", "early"] })
        #expect(agent.stop() == .code(0))
        // The path belongs to the service manager.
        #expect(access(path, F_OK) == 0)
        await hub.stop()
    }

    /// Forwards what comes at its path three ways: RFC 5424 by UDP, RFC 3339 stamps by TCP with counts, the oldest form by
    /// TLS.
    private func startRsyslog(port: Int, tls: Int) throws -> ChildProcess {
        try directory.write(
            """
            global(workDirectory="\(directory.path)" DefaultNetstreamDriverCAFile="\(directory("ca.pem"))")
            module(load="imuxsock" SysSock.Use="off")
            input(type="imuxsock" Socket="\(directory("in.sock"))" RateLimit.Interval="0")
            action(type="omfwd" target="127.0.0.1" port="\(port)" protocol="udp"
                template="RSYSLOG_SyslogProtocol23Format")
            action(type="omfwd" target="127.0.0.1" port="\(port)" protocol="tcp" TCP_Framing="octet-counted"
                template="RSYSLOG_ForwardFormat")
            action(type="omfwd" target="127.0.0.1" port="\(tls)" protocol="tcp" StreamDriver="ossl"
                StreamDriverMode="1" StreamDriverAuthMode="x509/certvalid" template="RSYSLOG_TraditionalForwardFormat")

            """, to: "rsyslog.conf")
        let child = try ChildProcess(
            "/usr/sbin/rsyslogd", ["-n", "-f", directory("rsyslog.conf"), "-i", directory("rsyslog.pid")])
        while access(directory("in.sock"), F_OK) != 0 { usleep(20_000) }
        return child
    }
}
