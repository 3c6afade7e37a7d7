import AMQP
import Glibc
import HubReading
import LocalHub
import TestSupport
import Testing

/// The real program gets SIGHUP: what changed is changed, what did not goes on, and what is wrong changes nothing.
@Suite struct ReloadTests {
    private let directory = TemporaryDirectory("reload")

    private func hub(
        _ name: String = "store", port: Int = 0, key: String = "KeyOfTheTestHub"
    ) async throws -> LocalHub {
        try await LocalHub.started(in: directory, store: name, port: port, key: key)
    }

    private func hubThatComesBack(key: String) async throws -> LocalHub {
        while true {
            if let hub = try? await hub(port: Int.random(in: 15_000...30_000), key: key) { return hub }
        }
    }

    private func consumer(_ hub: LocalHub) async throws -> HubConsumer {
        try await HubConsumer(
            port: hub.port, authorityFile: directory("certificates/ca.pem"),
            user: hub.configuration.sharedAccessKeyName, password: hub.configuration.sharedAccessKey,
            hub: hub.configuration.hubName, partitions: 2)
    }

    private func bodies(_ hub: LocalHub, _ count: Int) async throws -> [String] {
        let consumer = try await consumer(hub)
        let events = await consumer.events(atLeast: count)
        try await consumer.close()
        return events.map { String(decoding: $0.body, as: UTF8.self) }
    }

    private func output(_ hub: LocalHub, _ name: String = "hub", more: String = "") -> String {
        """
        [output.\(name)]
        type = "eventhubs"
        \(hub.output(directory))
        \(more)

        """
    }

    private func file(_ name: String, _ pattern: String, more: String = "") -> String {
        "[input.\(name)]\ntype = \"file\"\ninclude = [\"\(directory(pattern))\"]\n\(more)\n"
    }

    /// An agent, and the texts that it reads one after the other.
    private func start(_ parts: String..., agent settings: String = "") throws -> Reloaded {
        mkdir(directory("logs"), 0o755)
        return try Reloaded(directory, settings, parts.joined())
    }

    @Test func aFileOfTheDropInsIsLoadedToo() async throws {
        let hub = try await hub()
        let agent = try start(file("app", "logs/*.log"), output(hub))
        try agent.log("1\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 1 }
        mkdir(directory("conf.d"), 0o755)
        mkdir(directory("more"), 0o755)
        // What is wrong changes nothing, and is told by its own line.
        try directory.write("[input.more]\ntype = \"file\"\ninclud = [\"/x\"]\n", to: "conf.d/more.toml")
        try await agent.reload(expecting: "failed_reloads")
        #expect(agent.log.contains("\(directory("conf.d/more.toml")):3: unknown key"), "\(agent.log)")
        try directory.write("[agent]\nhost = \"another\"\n", to: "conf.d/more.toml")
        try await agent.reload(expecting: "failed_reloads")
        #expect(agent.log.contains("in [agent] is set twice: first in \(agent.configurationPath):3"), "\(agent.log)")
        try agent.log("2\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 2 }
        try directory.write(file("more", "more/*.log"), to: "conf.d/more.toml")
        try agent.log("3\n", to: "more/a.log")
        try await agent.reload(expecting: "reloads")
        let status = try await agent.status { $0.number("acknowledged", of: "more") == 1 }
        status.expectBalance()
        agent.expectEnd()
        #expect(try await bodies(hub, 3) == ["1", "2", "3"])
        await hub.stop()
    }

    @Test func whatIsTheSameGoesOn() async throws {
        let hub = try await hub()
        let port = try LocalPort.free()
        let net = "[input.net]\ntype = \"syslog\"\nlisten = [\"tcp://127.0.0.1:\(port)\"]\n"
        let agent = try start(file("app", "logs/*.log"), net, output(hub))
        try agent.log("1\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 1 }
        let sender = try ChildProcess(
            "/bin/bash",
            [
                "-c",
                "exec 3<>/dev/tcp/127.0.0.1/\(port); for i in 1 2 3; do echo \"<13>$i\" >&3; sleep 0.3; done; sleep 99",
            ])
        _ = try await agent.status { $0.number("acknowledged", of: "net") == 1 }
        for _ in 0..<5 { try await agent.reload(expecting: "reloads") }
        _ = try await agent.status { $0.number("acknowledged", of: "net") == 3 }
        try agent.log("2\n")
        let status = try await agent.status { $0.number("acknowledged", of: "app") == 2 }
        #expect(status.text.contains("1 connections"))
        status.expectBalance()
        #expect(agent.log.split(separator: "\n").count { $0.contains(" connected") } == 1, "\(agent.log)")
        sender.signal(SIGKILL)
        agent.expectEnd()
    }

    @Test func whatIsWrongIsToldAndChangesNothing() async throws {
        let hub = try await hub()
        let good = file("app", "logs/*.log") + output(hub)
        let agent = try start(good)
        try agent.log("1\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 1 }
        let taken = try await ScriptedServer.start([])
        try AgentProcess.write("no certificate\n", to: directory("bad.pem"))
        let wrong: [(text: String, expected: [String])] = [
            (good + "[input.app2\n", [":"]),
            (good + "[spool]\nmaximum_sise = \"1GiB\"\n", ["maximum_sise", "maximum_size"]),
            (good.replacing("type = \"file\"", with: "type = \"files\""), ["files"]),
            (good.replacing("include", with: "exclude"), ["include"]),
            (file("app", "logs/*.log"), ["there is no output"]),
            (output(hub), ["there is no input"]),
            (good + file("two", "x/*.log", more: "keep = ['(']"), ["keep"]),
            (
                good + "[output.two]\ntype = \"eventhubs\"\nconnection_string_file = \"\(directory("none"))\"\n",
                ["connection_string_file", directory("none")]
            ),
            (good + output(hub, "two").replacing("certificates/ca.pem", with: "bad.pem"), ["bad.pem"]),
            (
                good + "[input.net]\ntype = \"syslog\"\nlisten = [\"tcp://127.0.0.1:\(taken.port)\"]\n",
                ["\(taken.port)"]
            ),
            (good + "[input.net]\ntype = \"syslog\"\nlisten = [\"udp://192.0.2.1:5514\"]\n", ["192.0.2.1"]),
            ("[agent]\nmetrics = \"127.0.0.1:\(taken.port)\"\n", ["\(taken.port)", "metrics"]),
        ]
        for (index, (text, expected)) in wrong.enumerated() {
            let isAgents = text.hasPrefix("[agent]")
            try agent.write(isAgents ? good : text, agent: isAgents ? text.replacing("[agent]\n", with: "") : "")
            let status = try await agent.reload(expecting: "failed_reloads")
            for part in [agent.configurationPath] + expected {
                #expect(status.text.contains(part), "\(index): \(status)")
                // The log has ten lines in 10 s from one place at most. What it writes is read by another thread.
                while index < 9, !agent.log.contains(part) { try await Task.sleep(for: .milliseconds(5)) }
            }
            #expect(status.text.contains("\"last_failure\":\""))
            try agent.log("after \(index)\n")
            _ = try await agent.status { $0.number("acknowledged", of: "app") == 2 + index }
        }
        unlink(agent.configurationPath)
        let status = try await agent.reload(expecting: "failed_reloads")
        #expect(status.text.contains("cannot read the configuration"))
        #expect(agent.log.split(separator: "\n").count { $0.contains(" connected") } == 1)
        // No ledger of an output that never was.
        #expect(access(directory("state/spool/two.ledger"), F_OK) != 0)
        try agent.write(good)
        let healed = try await agent.reload(expecting: "reloads")
        #expect(healed.text.contains("\"last_failure\":null"))
        healed.expectBalance()
        agent.expectEnd()
        await taken.stop()
    }

    /// The names and the bytes of what lies in the spool's directory.
    private func spool() throws -> [String: [UInt8]] {
        let list = try ChildProcess("/bin/ls", [directory("state/spool")])
        #expect(list.wait() == .code(0))
        var files: [String: [UInt8]] = [:]
        for name in list.output.split(separator: "\n").map(String.init) where name != "lock" {
            files[name] = ChildProcess.bytes(directory("state/spool/\(name)"))
        }
        return files
    }

    @Test func aStartThatFailsLeavesTheSpoolAsItIs() async throws {
        let taken = try await ScriptedServer.start([])
        let away =
            "[output.hub]\ntype = \"eventhubs\"\nconnection_string = \"Endpoint=sb://127.0.0.1:\(taken.port)/;"
            + "SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs\"\n"
        let good = file("app", "logs/*.log") + away
        let agent = try start(good)
        try agent.log("1\n2\n")
        _ = try await agent.status { $0.number("existed", of: "app") == 2 && $0.number("committed", in: "spool") == 2 }
        agent.expectEnd()
        let before = try spool()
        #expect(before.count > 1)
        for wrong in [
            good + "[input.app2\n", good + "[spool]\nmaximum_size = \"1 apple\"\n",
            good + "[output.two]\ntype = \"eventhubs\"\nconnection_string_file = \"\(directory("none"))\"\n",
            good + "[input.net]\ntype = \"syslog\"\nlisten = [\"tcp://127.0.0.1:\(taken.port)\"]\n",
        ] {
            try agent.write(wrong)
            let start = try ChildProcess(
                ChildProcess.built("tailrace"), ["run", "--config", agent.configurationPath])
            #expect(start.wait() != .code(0))
            #expect(start.errorOutput.contains(agent.configurationPath) || start.errorOutput.contains("input net"))
            #expect(try spool() == before, "\(start.errorOutput)")
        }
        await taken.stop()
    }

    @Test func fileInputsComeGoAndChange() async throws {
        let hub = try await hub()
        mkdir(directory("more"), 0o755)
        let (app, more) = (file("app", "logs/*.log"), file("more", "more/*.log"))
        let agent = try start(app, output(hub))
        try agent.log("app 1\n")
        try agent.log("more 1\n", to: "more/b.log")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 1 }
        try agent.write(app + more + output(hub))
        try await agent.reload(expecting: "reloads")
        try agent.log("app 2\n")
        _ = try await agent.status {
            $0.number("acknowledged", of: "app") == 2 && $0.number("acknowledged", of: "more") == 1
        }
        try agent.write(more.replacing("\n\n", with: "\ndrop = ['no']\nfields = { a = \"b\" }\n\n") + output(hub))
        try await agent.reload(expecting: "reloads")
        try agent.log("app 3\n")
        try agent.log("more no\nmore 2\n", to: "more/b.log")
        let status = try await agent.status { $0.number("acknowledged", of: "more") == 2 }
        #expect(status.number("existed", of: "more") == 3)
        #expect(status.number("filtered", of: "more") == 1)
        #expect(status.part("app").contains("\"removed\":true"))
        #expect(status.number("existed", of: "app") == 2)
        status.expectBalance()
        try agent.write(app + more + output(hub))
        try await agent.reload(expecting: "reloads")
        let last = try await agent.status { $0.number("acknowledged", of: "app") == 3 }
        #expect(last.part("app").contains("\"removed\":false"))
        #expect(last.number("filtered", of: "more") == 1)
        last.expectBalance()
        agent.expectEnd()
        let found = try await bodies(hub, 5)
        #expect(found.sorted() == ["app 1", "app 2", "app 3", "more 1", "more 2"])
    }

    /// Another input of the same name, and inputs that change their places: the sockets stay, and what they hold.
    @Test func datagramsOutliveTheirInput() async throws {
        let hub = try await hub()
        let port = try LocalPort.free()
        func net(_ name: String, _ more: String) -> String {
            "[input.\(name)]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:\(port)\"]\n\(more)\n"
        }
        let agent = try start(net("net", ""), output(hub))
        _ = try await agent.status { $0.text.contains("receive buffer") }
        let sender = NumberedLoad.datagrams(port: port)
        let names = ["net", "net", "other", "net"]
        for index in 0..<12 {
            try agent.write(net(names[index % names.count], "maximum_message = \(2000 + index)") + output(hub))
            try await agent.reload(expecting: "reloads")
        }
        let sent = sender.stop()
        let status = try await agent.status { $0.sum("acknowledged") == sent && $0.sum("existed") == sent }
        status.expectBalance()
        #expect(agent.log.split(separator: "\n").count { $0.contains(" connected") } == 1)
        agent.expectEnd()
        let found = try await bodies(hub, sent)
        #expect(Set(found).count == sent && found.count == sent)
    }

    @Test func outputsComeGoAndChange() async throws {
        let (one, two) = (try await hub("one"), try await hub("two"))
        let app = file("app", "logs/*.log")
        let agent = try start(app, output(one, "one"))
        try agent.log("1\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 1 }
        try agent.write(app + output(one, "one") + output(two, "two"))
        try await agent.reload(expecting: "reloads")
        try agent.log("2\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 2 }
        // It goes, and comes back to the ledger that it left.
        try agent.write(app + output(one, "one", more: "key = \"source\""))
        try await agent.reload(expecting: "reloads")
        #expect(access(directory("state/spool/two.ledger"), F_OK) == 0)
        try agent.log("3\n")
        let alone = try await agent.status { $0.number("acknowledged", of: "app") == 3 }
        #expect(alone.number("released", in: "spool") == 3)
        #expect(!alone.text.contains("\"name\":\"two\""))
        alone.expectBalance()
        try agent.write(app + output(two, "two") + output(one, "one", more: "key = \"source\""))
        try await agent.reload(expecting: "reloads")
        try agent.log("4\n")
        let last = try await agent.status { $0.number("acknowledged", of: "app") == 4 }
        last.expectBalance()
        agent.expectEnd()
        // Another key is another partition.
        #expect(try await bodies(one, 4).sorted() == ["1", "2", "3", "4"])
        // The other one began when 1 was done with, and was away when 3 came, which nobody kept for it.
        #expect(try await bodies(two, 2) == ["2", "4"])
    }

    /// The hub takes another key, which is in a file.
    @Test func aKeyIsRotated() async throws {
        let first = try await hubThatComesBack(key: "TheFirstKey")
        let port = first.port
        try AgentProcess.write(first.connectionString, to: directory("hub.key"))
        let text =
            file("app", "logs/*.log")
            + "[output.hub]\ntype = \"eventhubs\"\nca_file = \"\(directory("certificates/ca.pem"))\"\n"
            + "connection_string_file = \"\(directory("hub.key"))\"\n"
        let agent = try start(text)
        try agent.log("1\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 1 }
        await first.stop()
        let second = try await hub(port: port, key: "TheSecondKey")
        try agent.log("2\n")
        _ = try await agent.status { $0.number("existed", of: "app") == 2 }
        try AgentProcess.write(second.connectionString, to: directory("hub.key"))
        try await agent.reload(expecting: "reloads")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 2 }
        agent.expectEnd()
        #expect(try await bodies(second, 2) == ["1", "2"])
        #expect(!agent.log.contains("TheFirstKey") && !agent.log.contains("TheSecondKey"))
    }

    @Test func settingsOfTheAgent() async throws {
        let hub = try await hub()
        let text = file("app", "logs/*.log") + output(hub)
        let agent = try start(text)
        // It has read the first before it is to read the second.
        _ = try await agent.status { _ in true }
        let port = try LocalPort.free()
        try agent.write(
            text + "[spool]\nmaximum_size = \"512MiB\"\nsync = \"100ms\"\n",
            agent: "metrics = \"127.0.0.1:\(port)\"\n", state: directory("elsewhere"), host: "another")
        let status = try await agent.reload(expecting: "reloads")
        #expect(status.number("maximum_bytes", in: "spool") == 512 << 20)
        #expect(status.text.contains("\"host\":\"another\""))
        #expect(status.text.contains("needs a restart"))
        #expect(LocalPort.isServed(port))
        #expect(access(directory("elsewhere"), F_OK) != 0)
        try agent.log("1\n")
        _ = try await agent.status { $0.number("acknowledged", of: "app") == 1 }
        try agent.write(text)
        try await agent.reload(expecting: "reloads")
        #expect(!LocalPort.isServed(port))
        agent.expectEnd()
        let consumer = try await consumer(hub)
        let events = await consumer.events(atLeast: 1)
        #expect(events[0].message.applicationProperties[string: "host"] == .string("another"))
        try await consumer.close()
    }

    /// It is stopped while a new configuration waits for its key, and for an output that does not let go.
    @Test func aStopDuringAReload() async throws {
        let server = try await ScriptedServer.start([{ _ in "" }])
        let stuck =
            "[output.hub]\ntype = \"eventhubs\"\nconnection_string = \"Endpoint=sb://127.0.0.1:\(server.port)/;"
            + "SharedAccessKeyName=n;SharedAccessKey=a2V5;EntityPath=logs\"\n"
        let agent = try start(file("app", "logs/*.log"), stuck)
        _ = try await agent.status { $0.number("reloads", in: "configuration") == 0 }
        #expect(mkfifo(directory("key"), 0o600) == 0)
        try agent.write(
            file("app", "logs/*.log") + stuck
                + "[output.two]\ntype = \"eventhubs\"\nconnection_string_file = \"\(directory("key"))\"\n")
        for _ in 0..<20 { agent.process.signal(SIGHUP) }
        usleep(100_000)
        agent.expectEnd()
        await server.stop()
    }
}
