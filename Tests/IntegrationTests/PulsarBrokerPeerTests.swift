import TestSupport
import Testing

/// Our test broker before a client that we did not write: what it takes for a broker, our own client may take for one.
@Suite struct PulsarBrokerPeerTests {
    private func peer(_ words: [String], _ url: String) async throws -> Python.Run {
        let run = try await Python().runAlone("pulsar_peer.py", words + ["--service-url", url])
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
        return run
    }

    private let partitioned = ["--partitions", "partitioned=3"]

    @Test func theOfficialClientSendsAndReadsInEachWay() async throws {
        let broker = try await PulsarBrokerProcess(partitioned)
        _ = try await peer(["round-trips"], try broker.url())
        #expect(try (0..<3).map { try broker.dump("partitioned-partition-\($0)").count }.reduce(0, +) == 30)
        let compressed = try broker.dump("SNAPPY")
        #expect(compressed.count == 30)
        #expect(compressed.last?.contains("\"payload\":\"message 29\"") == true)
    }

    @Test func theOfficialClientIsRedirected() async throws {
        let broker = try await PulsarBrokerProcess(partitioned + ["--brokers", "2"])
        _ = try await peer(["round-trips"], try broker.url("broker 1"))
    }

    @Test func theOfficialClientGoesThroughTheProxy() async throws {
        let broker = try await PulsarBrokerProcess(partitioned + ["--proxy"])
        _ = try await peer(["round-trips"], try broker.url("proxy"))
    }

    @Test func theOfficialClientTrustsTheCertificateAndShowsAToken() async throws {
        let directory = TemporaryDirectory("pulsar-broker")
        let broker = try await PulsarBrokerProcess(
            partitioned + ["--tls", directory("tls"), "--token", "good"], directory: directory)
        _ = try await peer(
            ["round-trips", "--token", "good", "--ca", try broker.url("authority")], try broker.url(tls: true))
    }

    @Test func theOfficialClientShowsAPassword() async throws {
        let broker = try await PulsarBrokerProcess(partitioned + ["--basic", "user:password"])
        _ = try await peer(["round-trips", "--basic", "user:password"], try broker.url())
    }

    /// Connections are cut at random, and the broker is killed in the middle: every number is there once, in order.
    @Test func nothingIsLostOrStoredTwiceWhateverIsCutOrKilled() async throws {
        let count = 3000
        let port = try LocalPort.free()
        let broker = try await PulsarBrokerProcess(["--port", "\(port)", "--faults-every", "40", "--seed", "7"])
        let python = try Python()
        let sender = try ChildProcess(
            python.interpreter,
            ["\(python.scripts)/pulsar_peer.py", "numbered", "--topic", "numbers", "--count", "\(count)"]
                + ["--service-url", try broker.url()])
        for part in 1...3 {
            while sender.isRunning, sender.output.split(separator: "\n").count < count * part / 4 {
                try await Task.sleep(for: .milliseconds(5))
            }
            broker.kill()
            try await broker.restart()
        }
        while sender.isRunning { try await Task.sleep(for: .milliseconds(5)) }
        #expect(sender.wait() == .code(0), "\(sender.errorOutput.suffix(3000))")
        broker.kill()
        let stored = try broker.dump("numbers")
        #expect(stored.count == count)
        for (index, line) in stored.enumerated() {
            guard line.contains("\"payload\":\"\(index + 1)\"") else {
                Issue.record("\(line) in the place of \(index + 1)")
                break
            }
        }
    }
}
