import Glibc
import OpenSSLTransport
import Synchronization
import TestSupport
import Testing

@testable import TailraceInputs
@testable import TailraceSpool

@Suite struct SyslogStreamTests {
    @Test func bothFramingsArriveInOrderAndLongMessagesAreCut() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["tcp://127.0.0.1:0"], sink: sink) { $0.maximumMessage = 480 }
        let sender = SyslogSender(to: running.sockets[0])
        let long = "<13>" + String(repeating: "x", count: 996)
        for byte in "<13>line\n11 <13>counted".utf8 { sender.sendAll([byte]) }
        sender.sendAll(Array("<13>a\n1000 \(long)12 <13>two\nline<13>unfinished".utf8))
        #expect(sink.waitFor(5))
        sender.close()
        #expect(sink.waitFor(6))
        running.stop()
        #expect(
            sink.records.map(\.text) == [
                "<13>line", "<13>counted", "<13>a", String(long.prefix(480)), "<13>two\nline", "<13>unfinished",
            ])
        #expect(sink.records.map(\.flags) == [[], [], [], .truncated, [], .unterminated])
        #expect(sink.records[3].numbers["truncated"] == 1000)
        #expect(sink.records.allSatisfy { $0.context.host == "127.0.0.1" })
    }

    @Test func nonsenseEndsOnlyItsConnectionAndIsCounted() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["tcp://127.0.0.1:0"], sink: sink)
        let good = SyslogSender(to: running.sockets[0])
        good.sendAll(Array("<13>before\n".utf8))
        let bad = SyslogSender(to: running.sockets[0])
        bad.sendAll(Array("1000000000 <13>x".utf8))
        // The end of the stream, or an error.
        var byte: UInt8 = 0
        #expect(recv(bad.descriptor, &byte, 1, 0) <= 0)
        good.sendAll(Array("<13>after\n".utf8))
        #expect(sink.waitFor(2))
        let condition = running.input.reports(timeoutMilliseconds: 0)["net"]?.sources.first?.condition
        #expect(condition?.contains("1 closed for what they sent") == true)
        running.stop()
        #expect(sink.records.map(\.text) == ["<13>before", "<13>after"])
    }

    @Test func whileTheSpoolTakesNothingSendersWaitAndLoseNothing() throws {
        let sink = SyslogSink(keepsRecords: false)
        let running = try RunningSyslog(["tcp://127.0.0.1:0", "udp://127.0.0.1:0"], sink: sink)
        sink.hold(true)
        let (streams, datagrams) = (running.sockets[0], running.sockets[1])
        let lines = 60_000
        let isSent = Atomic<Bool>(false)
        let thread = startThread("sender") {
            let sender = SyslogSender(to: streams)
            let line = Array("<13>Mar 10 10:00:00 h a: ".utf8) + [UInt8](repeating: 120, count: 974) + [10]
            for _ in 0..<lines { sender.sendAll(line) }
            sender.close()
            isSent.store(true, ordering: .releasing)
        }
        // Streams fill what they may have, which is less than was sent, and datagrams still get through.
        var before: UInt64 = 0
        repeat {
            before = running.input.received
            usleep(1_000_000)
        } while before == 0 || running.input.received > before
        let sender = SyslogSender(to: datagrams)
        for _ in 0..<100 { sender.send("<13>datagram") }
        let wasSent = isSent.load(ordering: .acquiring)
        #expect(!wasSent)
        let held = running.input.received
        sink.hold(false)
        #expect(sink.waitFor(lines + 100))
        pthread_join(thread, nil)
        running.stop()
        #expect(held < lines / 2)
        #expect(sink.count == lines + 100)
        #expect(running.input.lost == 0)
    }

    @Test func thereAreNoMoreConnectionsThanAllowedAndIdleOnesEnd() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["tcp://127.0.0.1:0"], sink: sink) {
            $0.maximumConnections = 2
            $0.idleSeconds = 1
        }
        let first = SyslogSender(to: running.sockets[0])
        let second = SyslogSender(to: running.sockets[0])
        first.sendAll(Array("<13>one\n".utf8))
        second.sendAll(Array("<13>two\n".utf8))
        #expect(sink.waitFor(2))
        let third = SyslogSender(to: running.sockets[0])
        var byte: UInt8 = 0
        #expect(recv(third.descriptor, &byte, 1, 0) <= 0)
        // The others are closed because nothing comes.
        #expect(recv(first.descriptor, &byte, 1, 0) <= 0)
        #expect(recv(second.descriptor, &byte, 1, 0) <= 0)
        let condition = running.input.reports(timeoutMilliseconds: 0)["net"]?.sources.first?.condition
        #expect(condition?.contains("1 refused") == true)
        running.stop()
    }

    @Test(arguments: [false, true]) func tlsTakesFramesAndAsksClientsForCertificates(_ asksClients: Bool) throws {
        let directory = TemporaryDirectory()
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: directory("ca.pem"))
        for name in ["server", "client"] {
            try authority.issue(names: [name == "server" ? "127.0.0.1" : "client"]).write(
                to: TLSIdentityFiles(
                    certificateChain: directory("\(name).pem"), privateKey: directory("\(name).key")))
        }
        let sink = SyslogSink()
        let running = try RunningSyslog(["tls://127.0.0.1:0"], sink: sink) {
            $0.certificateFile = directory("server.pem")
            $0.keyFile = directory("server.key")
            if asksClients { $0.clientAuthorities = directory("ca.pem") }
        }
        let messages = "10 <13>framed5 <1>ab<13>line\n"
        try directory.write(messages, to: "input")
        let base = [
            "s_client", "-connect", "127.0.0.1:\(running.sockets[0].port)", "-CAfile", directory("ca.pem"),
            "-verify_return_error", "-quiet", "-no_ign_eof",
        ]
        if asksClients {
            let stranger = try ChildProcess("/usr/bin/openssl", base, input: directory("input"))
            _ = stranger.wait()
        }
        let client = try ChildProcess(
            "/usr/bin/openssl",
            base + (asksClients ? ["-cert", directory("client.pem"), "-key", directory("client.key")] : []),
            input: directory("input"))
        #expect(sink.waitFor(3), "\(client.errorOutput)")
        _ = client.wait()
        running.stop()
        #expect(sink.records.map(\.text) == ["<13>framed", "<1>ab", "<13>line"])
    }

    @Test func tlsWithoutCertificateIsAnErrorThatSaysSo() throws {
        let error = #expect(throws: SyslogError.self) { try RunningSyslog(["tls://127.0.0.1:0"], sink: SyslogSink()) }
        #expect(error?.description.contains("certificate_file") == true)
    }

    @Test func aStopTakesWhatConnectionsHaveSent() throws {
        let sink = SyslogSink()
        let running = try RunningSyslog(["tcp://127.0.0.1:0"], sink: sink)
        let sender = SyslogSender(to: running.sockets[0])
        sender.sendAll(Array((0..<1000).map { "<13>\($0)\n" }.joined().utf8))
        while running.input.received < 1000 { usleep(1000) }
        running.stop()
        #expect(sink.records.map(\.text) == (0..<1000).map { "<13>\($0)" })
    }
}
