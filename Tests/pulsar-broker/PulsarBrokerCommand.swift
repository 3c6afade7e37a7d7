// A Pulsar broker for tests, as a process of its own.
//
//     pulsar-broker serve --store DIR [--port N] [--brokers N] [--proxy] [--no-deduplication]
//                         [--partitions TOPIC=N]... [--default-partitions N] [--maximum-message-size BYTES]
//                         [--tls DIR] [--token TEXT]... [--basic USER:PASSWORD]... [--keep-alive SECONDS]
//                         [--disconnect-notice SECONDS] [--faults-every N] [--seed N]
//     pulsar-broker dump --store DIR [--topic TOPIC]
//
// `serve` prints one line per address when it listens ("broker 0 pulsar://127.0.0.1:6650", "proxy pulsar://...", "authority
// FILE", and "ready" last) and runs until it is killed; what it acknowledged is in DIR, whatever kills it. A short name of
// a topic stands for one of public/default. `--faults-every` cuts connections, or closes producers, at one SEND of N,
// before or after it is stored. `dump` prints each stored message as a line of JSON, also while the broker runs.
import Glibc
import NIOCore
import Pulsar
import PulsarBroker

@main
struct PulsarBrokerCommand {
    static func main() async {
        var words = CommandLine.arguments.dropFirst()
        do {
            switch words.popFirst() {
            case "serve": try await serve(Options(words))
            case "dump": try dump(Options(words))
            default: throw Options.Mistake(description: "usage: pulsar-broker serve|dump --store DIR ...")
            }
        } catch let mistake as Options.Mistake {
            complain("\(mistake)")
            exit(2)
        } catch {
            complain("pulsar-broker: \(error)")
            exit(1)
        }
    }

    private static func serve(_ options: Options) async throws {
        let broker = try PulsarBroker(options.configuration)
        try await broker.start()
        for number in 0..<options.configuration.brokers {
            for tls in [false, true] {
                if let url = try await broker.serviceURL(broker: number, tls: tls) { say("broker \(number) \(url)") }
            }
        }
        for tls in [false, true] {
            if let url = try await broker.proxyURL(tls: tls) { say("proxy \(url)") }
        }
        if let file = broker.authorityFile { say("authority \(file)") }
        say("ready")
        while true { try await Task.sleep(for: .seconds(3600)) }
    }

    private static func dump(_ options: Options) throws {
        for (topic, messages) in try StoredMessage.all(inStore: options.configuration.storeDirectory)
        where options.topic == nil || options.topic == topic {
            for message in messages { say(message.json(topic: topic)) }
        }
    }

    /// Whole lines, at once: a script reads them.
    private static func say(_ line: String) { write(line, to: STDOUT_FILENO) }
    private static func complain(_ line: String) { write(line, to: STDERR_FILENO) }

    private static func write(_ line: String, to descriptor: Int32) {
        var bytes = Array("\(line)\n".utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { exit(1) }
            bytes = bytes.dropFirst(count)
        }
    }
}
