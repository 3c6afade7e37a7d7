// Events per second into `tailrace hub` over TLS: our two ways of sending, the official client's two, and a sender in C
// that sends one message per event with Qpid Proton. In each round all of them take their turn at the same hub.
//
//     produce TAILRACE EVENT-LOAD PYTHON [--rounds 5] [--store DIR] [--scale 1.0] [--sizes 200,1024] [--only buffered]
//
// `--only` keeps the contestants whose names have one of these words in them.
import Glibc
import Measurements
import Measuring

struct Contestant {
    var name: String
    /// Events of a turn, for 200 bytes each: enough for some seconds.
    var events: Int
    var command: (_ hub: Hub, _ events: Int, _ size: Int) -> [String]
    /// What its command sends before the clock runs.
    var warmUp = 0
    var isOurs = false
}

/// What one turn took.
struct Turn {
    var rate: Double
    /// Processor seconds of a million events.
    var clientProcessor: Double
    var hubProcessor: Double
    var peak: Double
}

@main
struct Produce {
    let binary: String
    let load: String
    let rounds: Int
    let scale: Double
    let sizes: [Int]
    let directory: String
    let contestants: [Contestant]

    init(_ options: Options) {
        let usage =
            "produce TAILRACE EVENT-LOAD PYTHON [--rounds N] [--store DIR] [--scale X] [--sizes N,…] [--only WORD,…]"
        let programs = options.programs(3, usage: usage)
        binary = programs[0]
        let load = programs[1]
        self.load = load
        let python = programs[2]
        rounds = max(1, options.number("rounds", 5))
        scale = Double(options.text("scale", "1")) ?? 1
        sizes = options.text("sizes", "200,1024").split(separator: ",").compactMap { Int($0) }
        let words = options.text("only", "").split(separator: ",")
        directory = options.text("store", "/dev/shm") + "/tailrace-produce-\(getpid())"
        mkdir(directory, 0o700)
        let sender = contestant(
            "proton_sender", ["-l:libqpid-proton-core.so.10", "-l:libqpid-proton-proactor.so.1"], in: directory,
            remedy: "gcc libqpid-proton11-dev")
        let sources = Self.sources
        func own(_ mode: String) -> (Hub, Int, Int) -> [String] {
            { hub, events, size in
                [
                    load, mode, "--connection-string", hub.connectionString, "--ca", hub.authority, "--events",
                    "\(events)", "--size", "\(size)",
                ]
            }
        }
        func official(_ mode: String) -> (Hub, Int, Int) -> [String] {
            { hub, events, size in
                [
                    python, "\(sources)/azure_eventhub.py", mode, hub.connectionString, hub.authority, hub.endpoint,
                    "\(events)", "\(size)",
                ]
            }
        }
        let all = [
            Contestant(name: "tailrace, buffered", events: 4_000_000, command: own("buffered"), isOurs: true),
            Contestant(name: "tailrace, send(batch)", events: 4_000_000, command: own("batch"), isOurs: true),
            Contestant(name: "azure-eventhub, buffered", events: 60_000, command: official("buffered"), warmUp: 4),
            Contestant(name: "azure-eventhub, send_batch", events: 100_000, command: official("batch")),
            Contestant(
                name: "Qpid Proton in C, event by event", events: 200_000,
                command: { hub, events, size in
                    [
                        sender, "127.0.0.1", "\(hub.port)", hub.keyName, hub.key, hub.authority, "bench",
                        "\(events)", "\(size)",
                    ]
                }),
        ]
        contestants = all.filter { one in words.isEmpty || words.contains { one.name.contains($0) } }
    }

    private static var sources: String {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        return parts.joined(separator: "/") + "/Contestants"
    }

    static func main() {
        let benchmark = Produce(Options())
        benchmark.measure()
        Child(["rm", "-rf", benchmark.directory]).wait()
    }

    func measure() {
        for size in sizes {
            let hub = Hub(binary: binary, directory: directory)
            var turns: [[Turn]] = Array(repeating: [], count: contestants.count)
            for round in 1...rounds {
                // Nobody always comes after the same one.
                for offset in contestants.indices {
                    let index = (offset + round) % contestants.count
                    turns[index].append(turn(of: contestants[index], size: size, hub))
                }
            }
            hub.child.end()
            Child(["rm", "-rf", "\(directory)/hub"]).wait()
            var results = Results("events of \(size) bytes by a producer to a hub over TLS")
            for (contestant, own) in zip(contestants, turns) {
                results.add(contestant.name, "k/s", own.map { $0.rate / 1000 })
                results.add(contestant.name, "s/M", own.map(\.clientProcessor))
                results.add(contestant.name, "MiB peak", own.map(\.peak))
                results.add(contestant.name, "hub, s/M", own.map(\.hubProcessor))
            }
            for own in contestants where own.isOurs {
                for other in contestants where !other.isOurs { results.compare(own.name, to: other.name) }
            }
            results.tell()
        }
    }

    func turn(of contestant: Contestant, size: Int, _ hub: Hub) -> Turn {
        let events = max(1000, Int(Double(contestant.events) * scale * (size > 500 ? 0.4 : 1)))
        let before = hub.stored(by: load)
        let hubBefore = hub.child.processorSeconds
        let child = Child(contestant.command(hub, events, size))
        let line = child.readAll()
        let peak = child.waitForPeakMiB()
        let hubProcessor = hub.child.processorSeconds - hubBefore
        let stored = hub.stored(by: load) - before
        func figure(_ name: String) -> Double {
            for word in line.split(whereSeparator: { $0 == " " || $0 == "\n" }) where word.hasPrefix("\(name)=") {
                return Double(word.dropFirst(name.count + 1)) ?? 0
            }
            fail("run \(contestant.name): it said \"\(line)\"", 0)
        }
        guard Int(figure("events")) == events, stored == events + contestant.warmUp else {
            fail("believe \(contestant.name): \(figure("events")) sent, \(stored) stored, \(events) asked for", 0)
        }
        let millions = Double(events) / 1e6
        return Turn(
            rate: Double(events) / figure("seconds"), clientProcessor: figure("processor") / millions,
            hubProcessor: hubProcessor / millions, peak: peak)
    }
}
