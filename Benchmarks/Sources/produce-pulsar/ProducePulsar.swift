// Messages per second into pulsar-lite, a broker that is not ours: our producer, and the official client (C++ below its
// Python binding). Both batch, and wait for room; in each round they take turns, each with an empty broker.
//
//     produce-pulsar PULSAR-LOAD PYTHON [--rounds 5] [--store DIR] [--scale 1.0]
import Glibc
import Measuring

struct Contestant {
    var name: String
    /// Messages of a turn, for 200 bytes each: enough for some seconds.
    var messages: Int
    var command: (_ serviceURL: String, _ messages: Int, _ size: Int) -> [String]
}

/// What one turn took.
struct Turn {
    var rate: Double
    /// Processor seconds of a million messages.
    var clientProcessor: Double
    var brokerProcessor: Double
    /// Processors that the broker kept busy while the turn lasted.
    var brokerLoad: Double
    var peak: Double
}

@main
struct ProducePulsar {
    let python: String
    let rounds: Int
    let scale: Double
    let directory: String
    let ours: Contestant
    let official: Contestant

    init?(_ arguments: [String]) {
        guard arguments.count >= 2, !arguments[1].hasPrefix("-") else { return nil }
        func option(_ name: String, _ standard: String) -> String {
            let index = arguments.firstIndex(of: "--\(name)").map { $0 + 1 }
            return index.flatMap { $0 < arguments.count ? arguments[$0] : nil } ?? standard
        }
        let load = arguments[0]
        let python = arguments[1]
        self.python = python
        rounds = max(1, Int(option("rounds", "5")) ?? 5)
        scale = Double(option("scale", "1")) ?? 1
        directory = option("store", "/dev/shm") + "/tailrace-produce-pulsar-\(getpid())"
        ours = Contestant(
            name: "tailrace", messages: 3_000_000,
            command: { url, messages, size in
                [load, "batch", "--service-url", url, "--messages", "\(messages)", "--size", "\(size)"]
            })
        official = Contestant(
            name: "pulsar-client (C++, Python)", messages: 300_000,
            command: { url, messages, size in
                [
                    python, "\(Self.root)/Benchmarks/Contestants/pulsar_client.py", url, "bench", "\(messages)",
                    "\(size)",
                ]
            })
    }

    private static var root: String {
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
    }

    static func main() {
        guard let benchmark = ProducePulsar(Array(CommandLine.arguments.dropFirst())) else {
            complain("usage: produce-pulsar PULSAR-LOAD PYTHON [--rounds N] [--store DIR] [--scale X]")
            exit(2)
        }
        benchmark.measure()
        Child(["rm", "-rf", benchmark.directory]).wait()
    }

    func measure() {
        print("pulsar-lite in a process of its own, one topic, its store in \(directory)")
        for size in [200, 1024] {
            var turns: [(ours: Turn, official: Turn)] = []
            for round in 1...rounds {
                // Nobody always comes after the same one.
                if round % 2 == 0 {
                    let first = turn(of: ours, size: size)
                    turns.append((first, turn(of: official, size: size)))
                } else {
                    let first = turn(of: official, size: size)
                    turns.append((turn(of: ours, size: size), first))
                }
            }
            print("\nMessages of \(size) bytes, \(rounds) rounds")
            tableHeading()
            for (contestant, own) in [(ours, turns.map(\.ours)), (official, turns.map(\.official))] {
                row(contestant.name, "k messages/s", own.map { $0.rate / 1000 })
                row("  client, processor", "s/M messages", own.map(\.clientProcessor))
                row("  client, peak resident", "MiB", own.map(\.peak))
                row("  broker, processor", "s/M messages", own.map(\.brokerProcessor))
                row("  broker, busy", "processors", own.map(\.brokerLoad))
            }
            print("\nratios, round by round")
            row("messages per second", "x", turns.map { $0.ours.rate / $0.official.rate })
            row("client's processor time", "x", turns.map { $0.official.clientProcessor / $0.ours.clientProcessor })
        }
    }

    func turn(of contestant: Contestant, size: Int) -> Turn {
        let messages = max(1000, Int(Double(contestant.messages) * scale * (size > 500 ? 0.4 : 1)))
        let broker = PulsarLite(
            python: python, script: "\(Self.root)/Tests/IntegrationTests/Python/pulsar_broker.py", directory: directory)
        defer { broker.child.end(SIGKILL) }
        let before = broker.child.processorSeconds
        let child = Child(contestant.command(broker.serviceURL, messages, size))
        let line = child.readAll()
        let peak = child.waitForPeakMiB()
        let processor = broker.child.processorSeconds - before
        func figure(_ name: String) -> Double {
            for word in line.split(whereSeparator: { $0 == " " || $0 == "\n" }) where word.hasPrefix("\(name)=") {
                return Double(word.dropFirst(name.count + 1)) ?? 0
            }
            fail("run \(contestant.name): it said \"\(line)\"", 0)
        }
        guard Int(figure("events")) == messages else {
            fail("believe \(contestant.name): \(figure("events")) sent, \(messages) asked for", 0)
        }
        let millions = Double(messages) / 1e6
        return Turn(
            rate: Double(messages) / figure("seconds"), clientProcessor: figure("processor") / millions,
            brokerProcessor: processor / millions, brokerLoad: processor / figure("seconds"), peak: peak)
    }
}
