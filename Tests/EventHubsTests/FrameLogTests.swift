import AMQP
import LocalHub
import Logging
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import EventHubs

/// `EventHubsOptions.logsFrames`: every frame is told, and no secret is.
@Suite struct FrameLogTests {
    private static let canary = "c4naryKeyThatMustNeverShow"

    private func lines(logsFrames: Bool) async throws -> (all: String, lines: [String]) {
        var configuration = LocalHubConfiguration()
        configuration.segmentSize = 1 << 20
        configuration.partitionSize = 16 << 20
        configuration.sharedAccessKey = Self.canary
        let hub = try LocalHub(configuration, logger: Logger(label: "hub", factory: { _ in SwiftLogNoOpLogHandler() }))
        _ = try await hub.start()
        let log = LogRecorder()
        var options = EventHubsOptions()
        options.logsFrames = logsFrames
        if let file = hub.authorityFile { options.tls = EventHubsTLS(authorities: file) }
        let client = try EventHubProducerClient(
            connectionString: hub.connectionString, options: options, logger: log.logger)
        _ = try await client.partitionIDs()
        try await client.send([EventData("the-payload-itself")], partitionID: "1")
        await client.close()
        // A refusal, whose text the peer chooses.
        options.retries.maximumRetries = 0
        let wrong = try EventHubProducerClient(
            connectionString: hub.connectionString.replacing(Self.canary, with: Self.canary + "Wrong"),
            options: options,
            logger: log.logger)
        await #expect(throws: EventHubsError.self) { _ = try await wrong.partitionIDs() }
        await wrong.close()
        await hub.stop()
        return (log.all, log.lines(.debug))
    }

    @Test func everyFrameIsALineAndNoSecretIsInAny() async throws {
        let (all, lines) = try await lines(logsFrames: true)
        for beginning in [
            "-> AMQP 3 1.0.0", "<- AMQP 3 1.0.0", "<- sasl-mechanisms MSSBCBS", "-> sasl-init ANONYMOUS 127.0.0.1",
            "<- sasl-outcome ok", "-> AMQP 0 1.0.0", "-> [0] open(container-id=tailrace-", "<- [0] open(container-id=",
            "-> [0] begin(", "<- [0] attach(name=", "-> [0] attach(name=", "<- [0] flow(",
            "-> [0] transfer(handle=", "<- [0] disposition(role=receiver, first=", "-> [0] close()",
        ] {
            #expect(lines.contains { $0.hasPrefix(beginning) }, "no line begins with \(beginning)")
        }
        #expect(lines.contains { $0.contains("hostname=127.0.0.1") && $0.contains("user-agent: tailrace/1") })
        #expect(lines.contains { $0.contains("target=/logs/Partitions/1") })
        #expect(lines.contains { $0.contains("state=accepted") })
        // A payload is a number of bytes, and a token is a payload.
        let transfers = lines.filter { $0.contains("transfer(") }
        #expect(transfers.count >= 6 && transfers.allSatisfy { $0.contains(") + ") && $0.contains(" bytes") })
        for secret in [Self.canary, "SharedAccessSignature", "sig=", "the-payload-itself"] {
            #expect(!all.contains(secret), "\(secret) is in the log")
        }
        #expect(lines.allSatisfy { !$0.contains("\n") })
    }

    @Test func withoutTheOptionThereIsNoFrameInTheLog() async throws {
        let (all, lines) = try await lines(logsFrames: false)
        #expect(!lines.contains { $0.hasPrefix("->") || $0.hasPrefix("<-") })
        #expect(!all.contains(Self.canary))
    }
}
