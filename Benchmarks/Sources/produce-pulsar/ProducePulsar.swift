// Messages per second into pulsar-lite, a broker that is not ours: our producer, and the official client (C++ below its
// Python binding). Both batch, and wait for room; in each round they take turns, each with an empty broker.
//
//     produce-pulsar PULSAR-LOAD PYTHON [--rounds 5] [--store DIR] [--scale 1.0]
import Glibc
import Measurements
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

    init(_ options: Options) {
        let usage = "produce-pulsar PULSAR-LOAD PYTHON [--rounds N] [--store DIR] [--scale X]"
        let programs = options.programs(2, usage: usage)
        let load = programs[0]
        let python = programs[1]
        self.python = python
        rounds = max(1, options.number("rounds", 5))
        scale = Double(options.text("scale", "1")) ?? 1
        directory = options.text("store", "/dev/shm") + "/tailrace-produce-pulsar-\(getpid())"
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
        let benchmark = ProducePulsar(Options())
        benchmark.measure()
        Child(["rm", "-rf", benchmark.directory]).wait()
    }

    func measure() {
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
            var results = Results("messages of \(size) bytes by a producer to pulsar-lite")
            for (contestant, own) in [(ours, turns.map(\.ours)), (official, turns.map(\.official))] {
                results.add(contestant.name, "k/s", own.map { $0.rate / 1000 })
                results.add(contestant.name, "s/M", own.map(\.clientProcessor))
                results.add(contestant.name, "MiB peak", own.map(\.peak))
                results.add(contestant.name, "broker, s/M", own.map(\.brokerProcessor))
                results.add(contestant.name, "broker, processors", own.map(\.brokerLoad))
            }
            results.compare(ours.name, to: official.name)
            results.tell()
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
