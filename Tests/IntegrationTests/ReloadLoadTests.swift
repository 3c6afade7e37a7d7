import AMQP
import Glibc
import HubReading
import TestSupport
import Testing

/// Reload after reload, valid and not, while lines and datagrams come: all of them arrive once and in order, and the balance
/// closes. `TAILRACE_RELOADS` says how many; `make reloads` runs a thousand, and tells how long lines had to wait.
@Suite struct ReloadLoadTests {
    private let directory = TemporaryDirectory("reload-load")
    private static let count = getenv("TAILRACE_RELOADS").flatMap { Int(String(cString: $0)) }

    private func output(_ name: String, _ hub: HubProcess, _ check: Int) -> String {
        "[output.\(name)]\ntype = \"eventhubs\"\n\(hub.output)\npartition_check = \"\(check)s\"\n"
    }

    /// What a configuration says; some of it changes from one to the next.
    private struct Course {
        var more: Int? = 0
        var net = 0
        var check = 60
        var hasSecond = false
        var sync = "always"
    }

    private func text(_ course: Course, _ hub: HubProcess, _ second: HubProcess, port: Int) -> String {
        var text = "[spool]\nsync = \"\(course.sync)\"\n"
        text += "[input.app]\ntype = \"file\"\ninclude = [\"\(directory("logs/*.log"))\"]\n"
        if let more = course.more {
            text += "[input.more]\ntype = \"file\"\ninclude = [\"\(directory("more/*.log"))\"]\n"
            text += "maximum_line = \(1000 + more)\n"
        }
        text += "[input.net]\ntype = \"syslog\"\nlisten = [\"udp://127.0.0.1:\(port)\"]\n"
        text += "maximum_message = \(2000 + course.net)\n"
        text += output("hub", hub, course.check)
        if course.hasSecond { text += output("second", second, 60) }
        return text
    }

    private static let mistakes = [
        "[input.more2\n", "[spool2]\n", "[input.x]\ntype = \"file\"\n",
        "[input.x]\ntype = \"syslog\"\nlisten = [\"udp://192.0.2.1:1\"]\n",
        "[output.x]\ntype = \"eventhubs\"\nconnection_string_file = \"/nowhere\"\n",
    ]

    private func next(_ course: Course, _ generator: inout SeededGenerator) -> Course {
        var course = course
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: course.more = course.more == nil ? 1 : nil
        case 1: course.more = Int.random(in: 0...50, using: &generator)
        case 2: course.net += 1
        case 3: course.check = 60 + (course.check + 1) % 60
        case 4: course.hasSecond.toggle()
        default: course.sync = course.sync == "always" ? "20ms" : "always"
        }
        return course
    }

    @Test func manyReloadsUnderLoad() async throws {
        try await run(SeededGenerator(seed: 1), reloads: Self.count ?? 60)
        if Self.count != nil { try await run(.fresh("reloads"), reloads: 100) }
    }

    private func run(_ generator: SeededGenerator, reloads: Int) async throws {
        var generator = generator
        let (hub, second) = (
            try HubProcess(certificates: directory("certificates")),
            try HubProcess(certificates: directory("certificates"))
        )
        for name in ["logs", "more", "state"] {
            _ = try ChildProcess("/bin/rm", ["-rf", directory(name)]).wait()
            if name != "state" { mkdir(directory(name), 0o755) }
        }
        let port = try LocalPort.free()
        var course = Course()
        let agent = try Reloaded(directory, "", text(course, hub, second, port: port))
        _ = try await agent.status { $0.text.contains("receive buffer") }
        let writers = ["logs/a.log", "logs/b.log", "more/c.log"].map { NumberedLoad.lines(directory($0)) }
        let datagrams = NumberedLoad.datagrams(port: port)
        var unread: [ClosedRange<Int64>] = []
        var unreadFrom: Int64?
        for _ in 0..<reloads {
            if Int.random(in: 0..<5, using: &generator) < 2 {
                let mistake = Self.mistakes.randomElement(using: &generator) ?? ""
                try agent.write(text(course, hub, second, port: port) + mistake)
                try await agent.reload(expecting: "failed_reloads")
            } else {
                course = next(course, &generator)
                if course.more == nil, unreadFrom == nil { unreadFrom = NumberedLoad.now }
                try agent.write(text(course, hub, second, port: port))
                try await agent.reload(expecting: "reloads").expectBalance()
                if course.more != nil, let start = unreadFrom.take() { unread.append(start...NumberedLoad.now) }
            }
        }
        course.more = 0
        course.hasSecond = false
        try agent.write(text(course, hub, second, port: port))
        try await agent.reload(expecting: "reloads")
        if let start = unreadFrom.take() { unread.append(start...NumberedLoad.now) }
        let lines = writers.map { $0.stop() }
        let total = lines.reduce(0, +) + datagrams.stop()
        let status = try await agent.status { $0.sum("existed") >= total && $0.sum("acknowledged") >= total }
        #expect(status.sum("existed") == total && status.sum("acknowledged") == total, "\(status)")
        status.expectBalance()
        agent.expectEnd()
        try await expectAll(hub, total, reloads, unread)
        for hub in [hub, second] {
            hub.process.signal(SIGTERM)
            hub.process.wait()
        }
    }

    /// Each once, and in order.
    /// - Parameter unread: when no configuration named the directory `more`, in milliseconds since 1970. Its lines wait then.
    private func expectAll(_ hub: HubProcess, _ total: Int, _ reloads: Int, _ unread: [ClosedRange<Int64>]) async throws
    {
        let consumer = try await HubConsumer(
            port: #require(hub.connection.port), authorityFile: directory("certificates/ca.pem"),
            user: #require(hub.connection.sharedAccessKeyName), password: #require(hub.connection.sharedAccessKey),
            hub: #require(hub.connection.eventHubName), partitions: 2)
        let events = await consumer.events(atLeast: total)
        try await consumer.close()
        #expect(events.count == total)
        var next: [String: Int] = [:]
        var reading: [String: Waits] = [:]
        var arriving: [Bool: Waits] = [:]
        for event in events {
            let words = String(decoding: event.body, as: UTF8.self).split(separator: " ")
            guard words.count >= 2, let number = Int(words[1]) else {
                Issue.record("\(words)")
                return
            }
            let name = String(words[0])
            #expect(number == next[name, default: 0], "\(name)")
            guard number == next[name, default: 0] else { return }
            next[name] = number + 1
            guard words.count > 2, let written = Int64(words[2]) else { continue }
            let waits = name == "c.log" && unread.contains { $0.contains(written) }
            let group = waits ? "\(name) when it was not to be read" : name
            if case .timestamp(let read)? = event.message.applicationProperties[string: "timestamp"] {
                reading[group, default: Waits()].add(read - written)
            }
            if case .timestamp(let stored)? = event.message.messageAnnotations[symbol: "x-opt-enqueued-time"] {
                arriving[waits, default: Waits()].add(stored - written)
            }
        }
        #expect(next.count == 4)
        #expect(reading.values.reduce(0) { $0 + $1.count } == total)
        #expect(arriving.values.reduce(0) { $0 + $1.count } == total)
        guard Self.count != nil else { return }
        print("\(reloads) reloads, \(total) records")
        for (name, waits) in reading.sorted(by: { $0.key < $1.key }) { print("  \(name) until it is read: \(waits)") }
        print("  all that was to be read until the hub has it: \(arriving[false, default: Waits()])")
    }

    /// Milliseconds.
    private struct Waits: CustomStringConvertible {
        private var all: [Int64] = []

        var count: Int { all.count }
        mutating func add(_ wait: Int64) { all.append(wait) }

        var description: String {
            let sorted = all.sorted()
            guard let longest = sorted.last else { return "none" }
            let late = sorted.count { $0 > 100 }
            return
                "median \(sorted[sorted.count / 2]) ms, 99.9 % within \(sorted[sorted.count * 999 / 1000]) ms, longest"
                + " \(longest) ms; \(late) of \(all.count) over 100 ms"
        }
    }
}
