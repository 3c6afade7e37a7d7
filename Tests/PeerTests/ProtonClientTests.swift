import AMQP
import Glibc
import LocalHub
import Logging
import TestSupport
import Testing

/// Qpid Proton as a client of the local hub, with the key's name and the key for SASL PLAIN.
struct ProtonClientTests {
    private func hub(plain: Bool, frame: UInt32 = 65536) async throws -> LocalHub {
        var configuration = LocalHubConfiguration()
        configuration.isPlain = plain
        configuration.maximumFrameSize = frame
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        return hub
    }

    private func proton(
        _ role: String, _ hub: LocalHub, _ address: String, _ arguments: [String], password: String? = nil
    ) throws -> ChildProcess {
        let scheme = hub.authorityFile == nil ? "amqp" : "amqps"
        var all = [role, "--url", "\(scheme)://127.0.0.1:\(hub.port)", "--address", address]
        all += ["--user", hub.configuration.sharedAccessKeyName]
        all += ["--password", password ?? hub.configuration.sharedAccessKey]
        if let authority = hub.authorityFile { all += ["--ca", authority] }
        return try ProtonServer.script("client.py", all + arguments)
    }

    @Test(arguments: [(false, 65536), (true, 1024)])
    func whatProtonSendsItReadsBack(plain: Bool, frame: UInt32) async throws {
        let hub = try await hub(plain: plain, frame: frame)
        let sizes = [0, 1, 255, 256, 4096, 70_000, 900_000]
        let sending = try proton(
            "send", hub, "logs/Partitions/1",
            ["--sizes", sizes.map(String.init).joined(separator: ","), "--count", "3000"])
        #expect(try await ProtonServer.line("accepted", of: sending) == "accepted 3007")
        #expect(hub.statistics.partitions.map(\.eventsStored) == [0, 3007, 0, 0])
        let receiving = try proton(
            "receive", hub, "logs/ConsumerGroups/$default/Partitions/1", ["--count", "3007"])
        let received = try await ProtonServer.line("received", of: receiving)
        let bytes = sizes.flatMap { ProtonServerTests.pattern($0) } + (0..<3000).flatMap { Array("event \($0)".utf8) }
        #expect(received == "received 3007 \(try await Self.sha256(bytes))")
        #expect(receiving.output.split(separator: "\n").count == 1, "\(receiving.output)")
        await hub.stop()
    }

    @Test(arguments: [false, true])
    func aWrongKeyIsRefused(plain: Bool) async throws {
        let hub = try await hub(plain: plain)
        let sending = try proton("send", hub, "logs", ["--count", "1"], password: "swordfish")
        #expect(try await ProtonServer.line("transport", of: sending) == "transport amqp:unauthorized-access")
        #expect(hub.statistics.partitions.allSatisfy { $0.eventsStored == 0 })
        await hub.stop()
    }

    @Test(arguments: [
        ("elsewhere", "amqp:not-found"), ("logs/Partitions/4", "com.microsoft:argument-out-of-range"),
        ("logs/ConsumerGroups/$default/Partitions/0", "amqp:not-allowed"),
    ])
    func anAddressThatTheHubDoesNotServeIsRefused(address: String, condition: String) async throws {
        let hub = try await hub(plain: false)
        let sending = try proton("send", hub, address, ["--count", "1"])
        #expect(try await ProtonServer.line("link", of: sending) == "link \(condition)")
        await hub.stop()
    }

    @Test func aMessageAboveTheLimitIsRefusedAndNothingOfItStored() async throws {
        let hub = try await hub(plain: true)
        let sending = try proton("send", hub, "logs/Partitions/0", ["--sizes", "2000000"])
        #expect(try await ProtonServer.line("link", of: sending) == "link amqp:link:message-size-exceeded")
        #expect(hub.statistics.partitions.allSatisfy { $0.eventsStored == 0 })
        await hub.stop()
    }

    /// By a program that has nothing to do with either side.
    private static func sha256(_ bytes: [UInt8]) async throws -> String {
        let directory = TemporaryDirectory("digest")
        let file = fopen(directory("bytes"), "w")
        guard let file, fwrite(bytes, 1, bytes.count, file) == bytes.count, fclose(file) == 0 else {
            throw ChildProcess.Failure("cannot write \(directory("bytes"))")
        }
        let child = try ChildProcess("/usr/bin/sha256sum", [directory("bytes")])
        child.wait()
        return String(child.output.prefix { $0 != " " })
    }
}
