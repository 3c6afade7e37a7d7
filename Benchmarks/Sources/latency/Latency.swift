// From the write of a line to a consumer that has it: file -> spool (synced) -> AMQP over TLS -> hub in another process -> a
// consumer over TLS. That is later than the acknowledgement, which the agent gets when the hub has stored the line. And what the
// agent takes of a processor meanwhile.
//
//     latency TAILRACE EVENT-LOAD [--rates 1000,50000] [--seconds 10] [--runs 3] [--size 200] [--directory DIR]
import Glibc
import Measuring

@main
struct Latency {
    let binary: String
    let load: String
    let seconds: Int
    let size: Int
    let base: String

    static func main() {
        let options = Options()
        let usage = "latency TAILRACE EVENT-LOAD [--rates N,N] [--seconds N] [--runs N] [--size N] [--directory DIR]"
        let programs = options.programs(2, usage: usage)
        let base = options.text("directory", "/tmp") + "/tailrace-latency-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let latency = Latency(
            binary: programs[0], load: programs[1], seconds: max(1, options.number("seconds", 10)),
            size: max(80, options.number("size", 200)), base: base)
        let writer = contestant("line_writer", in: base)
        for rate in options.text("rates", "1000,50000").split(separator: ",").compactMap({ Int($0) }) {
            let all = (0..<max(1, options.number("runs", 3))).map { _ in latency.run(rate, writer) }
            print("\n\(rate) lines of \(latency.size) bytes a second, sync = always, for \(latency.seconds) s")
            tableHeading()
            row("line to consumer, median", "ms", all.map(\.median))
            row("line to consumer, 99 %", "ms", all.map(\.late))
            row("line to consumer, longest", "ms", all.map(\.longest))
            row("agent, of a processor", "%", all.map(\.processor))
        }
    }

    struct Figures {
        var median = 0.0
        var late = 0.0
        var longest = 0.0
        var processor = 0.0
    }

    func run(_ rate: Int, _ writer: String) -> Figures {
        Child(["rm", "-rf", "\(base)/state", "\(base)/hub", "\(base)/certificates", "\(base)/app.log"]).wait()
        write("", to: "\(base)/app.log")
        let hub = Hub(binary: binary, directory: base)
        let configuration = hub.configureAgent(directory: base, include: "\(base)/app.log", sync: "always")
        let agent = Child([binary, "run", "--config", configuration])
        // Connected, and past its first lines.
        let first = Child([writer, "\(base)/app.log", "100", "1", "\(size)"])
        first.wait()
        awaitAcknowledgement(of: 100, binary: binary, configuration: configuration, agent: agent)
        let count = rate * seconds
        let consumer = Child([
            load, "follow", "--connection-string", hub.connectionString, "--ca", hub.authority, "--events",
            "\(count)",
        ])
        guard consumer.readLine() == "following" else { fail("follow the hub", 0) }
        usleep(500_000)
        let before = agent.processorSeconds
        let begin = Measuring.seconds()
        Child([writer, "\(base)/app.log", "\(rate)", "\(seconds)", "\(size)"]).wait()
        let share = (agent.processorSeconds - before) / (Measuring.seconds() - begin)
        let values = (consumer.readLine() ?? "").split(separator: " ").compactMap {
            $0.split(separator: "=").last.flatMap { Double($0) }
        }
        guard consumer.wait() == 0, values.count == 3 else { fail("follow the lines", 0) }
        agent.end()
        hub.child.end()
        return Figures(
            median: values[0] / 1000, late: values[1] / 1000, longest: values[2] / 1000, processor: share * 100)
    }
}
