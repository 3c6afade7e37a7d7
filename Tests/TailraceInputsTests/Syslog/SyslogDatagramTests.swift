import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceInputs
@testable import TailraceSpool

@Suite struct SyslogDatagramTests {
    @Test(arguments: ["udp://127.0.0.1:0", "udp://[::1]:0"])
    func datagramsOfEverySizeArriveWhole(_ listen: String) throws {
        let sink = SyslogSink()
        let running = try RunningSyslog([listen], sink: sink)
        let sender = SyslogSender(to: running.sockets[0])
        let sizes = [0, 1, 2, 1024, 8192, 30_000, 65_507]
        for size in sizes {
            let body = Array("<13>Mar 10 10:00:00 h a: ".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: size)
            #expect(sender.send(Array(body.prefix(size))))
        }
        #expect(sink.waitFor(sizes.count))
        running.stop()
        #expect(sink.records.map(\.body.count) == sizes)
        let address = listen.contains("::1") ? "::1" : "127.0.0.1"
        #expect(sink.records.allSatisfy { $0.context.host == address && $0.context.input == "net" })
        #expect(sink.records.allSatisfy { $0.context.fields == [.init("peer", address)] && $0.flags == [] })
        #expect(sink.records[0].texts["parse_error"] == "empty")
        #expect(sink.records[1].texts["parse_error"] == "priority out of range")
        #expect(sink.records[6].numbers["severity"] == 5 && sink.records[6].texts["app"] == "a")
        #expect(sink.records[6].texts["hostname"] == "h")
    }

    @Test func whatIsLongerThanTheLimitIsCutAndMarked() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink) { $0.maximumMessage = 480 }
        let sender = SyslogSender(to: running.sockets[0])
        for size in [479, 480, 481, 2000, 65_507] { sender.send([UInt8](repeating: 65, count: size)) }
        sender.send("<13>after")
        #expect(sink.waitFor(6))
        running.stop()
        #expect(sink.records.map(\.body.count) == [479, 480, 480, 480, 480, 9])
        #expect(sink.records.map { $0.flags == .truncated } == [false, false, true, true, true, false])
        #expect(sink.records.map { $0.numbers["truncated"] } == [nil, nil, 481, 2000, 65_507, nil])
    }

    @Test func propertiesAreWhatTheMessageSaysAndTheBodyIsUnchanged() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink)
        let sender = SyslogSender(to: running.sockets[0])
        let message = "<165>1 2003-10-11T22:14:15.003Z box evnt 88 ID47 [x@1 a=\"\\\"\"] \u{FEFF}text\n"
        sender.send(message)
        sender.send("<13>1 - - a worker-3 - - t")
        #expect(sink.waitFor(2))
        running.stop()
        let record = sink.records[0]
        #expect(record.text == message)
        #expect(
            record.numbers == ["severity": 5, "facility": 20, "event_time": 1_065_910_455_003, "pid": 88])
        #expect(record.texts == ["hostname": "box", "app": "evnt", "msgid": "ID47", "sd": "[x@1 a=\"\\\"\"]"])
        #expect(sink.records[1].texts["pid"] == "worker-3")
    }

    @Test func whoSaysThatItIsAnotherHostIsNotBelieved() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink) {
            $0.trust = [AddressRange("127.0.0.2/31")!]
        }
        let stranger = SyslogSender(to: running.sockets[0], from: "127.0.0.9")
        let relay = SyslogSender(to: running.sockets[0], from: "127.0.0.3")
        stranger.send("<13>Mar 10 10:00:00 bank sshd: forged")
        relay.send("<13>Mar 10 10:00:00 bank sshd: true")
        relay.send("<13>1 - shop a - - - also true")
        relay.send("<13>1 - ba\u{0}d a - - - no name")
        relay.send("nothing")
        #expect(sink.waitFor(5))
        running.stop()
        let condition = running.input.reports(timeoutMilliseconds: 0)["net"]?.sources.first?.condition
        #expect(condition?.hasSuffix("2 messages under the names that trusted relays gave") == true)
        let found = Set(sink.records.map { "\($0.context.host) \($0.context.source) \($0.text.suffix(6))" })
        #expect(
            found == [
                "127.0.0.9 127.0.0.9 forged", "bank 127.0.0.3 : true", "shop 127.0.0.3 o true",
                "127.0.0.3 127.0.0.3 o name", "127.0.0.3 127.0.0.3 othing",
            ])
        #expect(sink.records.first { $0.text.hasSuffix("forged") }?.texts["hostname"] == "bank")
    }

    @Test func messagesOfOneSenderKeepTheirOrderAndShareASection() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink)
        sink.hold(true)
        let senders = (1...20).map { SyslogSender(to: running.sockets[0], from: "127.0.1.\($0)") }
        for number in 0..<100 { for (index, sender) in senders.enumerated() { sender.send("<13>\(index) \(number)") } }
        while running.input.received < 2000 { usleep(1000) }
        sink.hold(false)
        #expect(sink.waitFor(2000))
        running.stop()
        for index in 0..<20 {
            let mine = sink.records.filter { $0.context.host == "127.0.1.\(index + 1)" }.map(\.text)
            #expect(mine == (0..<100).map { "<13>\(index) \($0)" })
        }
        // A batch for each message, or a section, would be 2000.
        #expect(sink.sections < 1000)
    }

    /// However fast they come, and however long the spool takes nothing: what was sent is here or counted.
    @Test(arguments: [60, 800, 4000]) func receivedAndCountedIsSent(_ size: Int) throws {
        let sink = SyslogSink(keepsRecords: false)
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink) {
            $0.buffer = 4 << 20
            $0.receiveBuffer = 256 << 10
        }
        let sent = Atomic<UInt64>(0)
        let isDone = Atomic<Bool>(false)
        // The spool stalls for 200 ms, again and again.
        let staller = startThread("staller") {
            while !isDone.load(ordering: .relaxed) {
                sink.hold(true)
                usleep(200_000)
                sink.hold(false)
                usleep(20_000)
            }
        }
        let sockets = running.sockets
        let threads = (0..<2).map { _ in
            startThread("sender") {
                let sender = SyslogSender(to: sockets[0])
                let message = Array("<13>Mar 10 10:00:00 h a: ".utf8) + [UInt8](repeating: 120, count: size - 25)
                for _ in 0..<40_000 where sender.send(message) { sent.wrappingAdd(1, ordering: .relaxed) }
            }
        }
        for thread in threads { pthread_join(thread, nil) }
        isDone.store(true, ordering: .relaxed)
        pthread_join(staller, nil)
        running.stop()
        let total = sent.load(ordering: .relaxed)
        let (kernel, memory) = (running.drops("lost in the kernel"), running.drops("no room in memory"))
        print("\(size) bytes: sent \(total), written \(sink.count), lost in the kernel \(kernel), in memory \(memory)")
        #expect(running.input.received + kernel == total)
        #expect(UInt64(sink.count) + memory == running.input.received)
        #expect(running.drops("stopped before the spool took it") == 0)
        // Both ways of losing happened, and the stream tells of each loss.
        #expect(kernel + memory > 0)
        #expect(sink.lost == Int64(kernel + memory))
        #expect(running.input.reports(timeoutMilliseconds: 0)["net"]?.notices == sink.notices)
        #expect(sink.notices > 0)
    }

    @Test func aStopTakesWhatHasArrived() throws {
        for _ in 0..<5 {
            let sink = SyslogSink()
            let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink)
            let sender = SyslogSender(to: running.sockets[0])
            for number in 0..<500 { #expect(sender.send("<13>\(number)")) }
            running.stop()
            #expect(sink.records.map(\.text) == (0..<500).map { "<13>\($0)" })
        }
    }

    @Test func whatTheSpoolNeverTakesIsCountedAtTheStop() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink)
        sink.hold(true)
        let sender = SyslogSender(to: running.sockets[0])
        for number in 0..<100 { #expect(sender.send("<13>\(number)")) }
        while running.input.received < 100 { usleep(1000) }
        running.input.stop()
        sink.close()
        running.stop()
        #expect(sink.count == 0)
        #expect(running.drops("stopped before the spool took it") == 100)
    }

    /// The memory is full at the moment of the stop, and the writer goes on only then.
    @Test func lossesAreToldAlsoWhenMemoryIsFullAtTheStop() throws {
        let sink = SyslogSink(keepsRecords: false)
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink) { $0.buffer = 4 << 20 }
        sink.hold(true)
        let sender = SyslogSender(to: running.sockets[0])
        let message = [UInt8](repeating: 65, count: 8000)
        var sent: UInt64 = 0
        while running.drops("no room in memory") < 10 { if sender.send(message) { sent += 1 } }
        running.input.stop()
        usleep(300_000)
        sink.hold(false)
        running.stop()
        let (kernel, memory) = (running.drops("lost in the kernel"), running.drops("no room in memory"))
        #expect(UInt64(sink.count) + kernel + memory == sent)
        #expect(memory >= 10 && sink.lost == Int64(kernel + memory))
    }

    @Test func anyDatagramIsOneRecord() throws {
        for seed in [31, UInt64.random(in: 0..<(.max))] {
            print("datagrams, seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            let sink = SyslogSink()
            let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink)
            let sender = SyslogSender(to: running.sockets[0])
            let samples = SyslogParserTests.samples.map { Array($0.message.utf8) }
            var sent: [[UInt8]] = []
            for _ in 0..<3000 {
                var bytes = samples.randomElement(using: &generator)!
                if Bool.random(using: &generator) {
                    let length = Int.random(in: 0...200, using: &generator)
                    bytes = (0..<length).map { _ in .random(in: 0...255, using: &generator) }
                } else if !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
                }
                #expect(sender.send(bytes))
                sent.append(bytes)
            }
            #expect(sink.waitFor(sent.count))
            running.stop()
            #expect(sink.records.map(\.body) == sent)
            #expect(sink.records.allSatisfy { (0...7).contains($0.numbers["severity"] ?? -1) })
            #expect(sink.records.allSatisfy { (0...23).contains($0.numbers["facility"] ?? -1) })
        }
    }

    @Test func aPathTakesDatagramsOfThisMachine() throws {
        let directory = TemporaryDirectory()
        let path = directory("log")
        let sink = SyslogSink()
        var running = try RunningSyslog(["unix://\(path)"], sink: sink)
        SyslogSender(to: running.sockets[0]).send("<30>Mar 10 10:00:00 cron[9]: x")
        #expect(sink.waitFor(1))
        #expect(throws: SyslogError.self) { try RunningSyslog(["unix://\(path)"], sink: sink) }
        running.stop()
        #expect(sink.records[0].context == RecordContext(host: "agent-host", source: "unix://\(path)", input: "net"))
        // Left by a process that was killed.
        let left = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: directory("left").utf8) }
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(left, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        close(left)
        running = try RunningSyslog(["unix://\(directory("left"))"], sink: sink)
        SyslogSender(to: running.sockets[0]).send("<30>again")
        #expect(sink.waitFor(2))
        running.stop()
    }

    @Test func aPortThatIsTakenIsToldWithWhatToDo() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["udp://127.0.0.1:0"], sink: sink)
        let place = "udp://127.0.0.1:\(running.sockets[0].port)"
        let error = #expect(throws: SyslogError.self) { try RunningSyslog([place], sink: sink) }
        #expect(error?.description.contains(place) == true && error?.description.contains("ss -lnp") == true)
    }

    @Test func socketsOfTheServiceManagerAreTakenByTheirNames() throws {
        let given = try ListeningSocket.open(#require(SyslogAddress("udp://127.0.0.1:0")), receiveBuffer: 1 << 20)
        let first = fcntl(given[0].descriptor, F_DUPFD, 700)
        defer { close(first) }
        let environment = ["LISTEN_PID": "\(getpid())", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "syslog"]
        let passed = PassedSockets(environment: { environment[$0] }, first: first)
        let sink = SyslogSink()
        let running = try RunningSyslog(["systemd:syslog"], sink: sink, passed: passed)
        SyslogSender(to: given[0]).send("<13>by systemd")
        #expect(sink.waitFor(1))
        running.stop()
        // The socket stays with the service manager: what comes meanwhile is for the next run.
        SyslogSender(to: given[0]).send("<13>meanwhile")
        let next = try RunningSyslog(["systemd:syslog"], sink: sink, passed: passed)
        #expect(sink.waitFor(2))
        next.stop()
        let error = #expect(throws: SyslogError.self) {
            try RunningSyslog(["systemd:other"], sink: sink, passed: passed)
        }
        #expect(error?.description.contains("it passed syslog") == true)
        let strange = PassedSockets(environment: { $0 == "LISTEN_PID" ? "1" : environment[$0] }, first: first)
        #expect(throws: SyslogError.self) { try RunningSyslog(["systemd:syslog"], sink: sink, passed: strange) }
    }
}
