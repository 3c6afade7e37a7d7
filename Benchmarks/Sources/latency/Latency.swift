// From the write of a line to its acknowledgement: file -> spool (synced as `--syncs` says) -> AMQP over TLS -> hub in another process, which has
// stored it -> the disposition as it comes out of TLS in the agent. And to a consumer that has the line, over TLS from the hub.
// What the agent takes of a processor meanwhile, thread by thread; how often its threads wake up; and what a C program takes
// that only writes as much to a file and syncs it, once for each batch that the agent sends.
//
//     latency TAILRACE EVENT-LOAD [--rates 1000,50000] [--syncs always,100ms] [--seconds 10] [--runs 3] [--size 200]
//             [--directory DIR]
import Glibc
import Measurements
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
        let usage =
            "latency TAILRACE EVENT-LOAD [--rates N,N] [--syncs S,S] [--seconds N] [--runs N] [--size N] [--directory DIR]"
        let programs = options.programs(2, usage: usage)
        let base = options.text("directory", "/tmp") + "/tailrace-latency-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let latency = Latency(
            binary: programs[0], load: programs[1], seconds: max(1, options.number("seconds", 10)),
            size: max(80, options.number("size", 200)), base: base)
        let writer = contestant("line_writer", in: base)
        let syncs = options.text("syncs", "always,100ms").split(separator: ",").map { String($0) }
        for rate in options.text("rates", "1000,50000").split(separator: ",").compactMap({ Int($0) }) {
            for sync in syncs {
                let all = (0..<max(1, options.number("runs", 3))).map { _ in latency.run(rate, sync, writer) }
                latency.tell(rate, sync, all)
            }
        }
    }

    private func tell(_ rate: Int, _ sync: String, _ all: [Figures]) {
        var results = Results("\(rate) lines of \(size) bytes a second, sync = \(sync)")
        for (subject, times) in [
            ("line to acknowledgement", all.map(\.acknowledged)), ("line to consumer", all.map(\.consumed)),
        ] {
            results.add(subject, "ms, median", times.map(\.median))
            results.add(subject, "ms, 99 %", times.map(\.late))
            results.add(subject, "ms, longest", times.map(\.longest))
        }
        results.add("agent", "% of a processor", all.map(\.processor))
        results.add("agent", "wake-ups/s", all.map { $0.threads.values.reduce(0) { $0 + $1.wakes } })
        results.add("agent", "batches/s", all.map(\.transfers))
        for name in Set(all.flatMap(\.threads.keys)).sorted() {
            results.add("agent, \(name)", "% of a processor", all.map { $0.threads[name]?.processor ?? 0 })
            results.add("agent, \(name)", "wake-ups/s", all.map { $0.threads[name]?.wakes ?? 0 })
        }
        results.add("a sync for each batch, in C", "% of a processor", all.map(\.syncs))
        if sync == "always" { results.add("250 syncs a second, in C", "% of a processor", all.map(\.fewestSyncs)) }
        results.tell()
    }

    /// Milliseconds.
    struct Times {
        var median = 0.0
        var late = 0.0
        var longest = 0.0
    }

    struct Figures {
        var acknowledged = Times()
        var consumed = Times()
        var processor = 0.0
        var threads: [String: (processor: Double, wakes: Double)] = [:]
        var transfers = 0.0
        var syncs = 0.0
        var fewestSyncs = 0.0
    }

    func run(_ rate: Int, _ sync: String, _ writer: String) -> Figures {
        Child(["rm", "-rf", "\(base)/state", "\(base)/hub", "\(base)/certificates", "\(base)/app.log"]).wait()
        write("", to: "\(base)/app.log")
        let hub = Hub(binary: binary, directory: base)
        let configuration = hub.configureAgent(directory: base, include: "\(base)/app.log", sync: sync)
        let acknowledgements = AcknowledgementTimes(directory: base)
        let agent = Child(acknowledgements.prefix + [binary, "run", "--config", configuration])
        // Connected, and past its first lines.
        let first = Child([writer, "\(base)/app.log", "100", "1", "\(size)"])
        first.wait()
        Control(directory: base).awaitAcknowledgement(of: 100, agent)
        let count = rate * seconds
        let consumer = Child([
            load, "follow", "--connection-string", hub.connectionString, "--ca", hub.authority, "--events",
            "\(count)",
        ])
        guard consumer.readLine() == "following" else { fail("follow the hub", 0) }
        usleep(500_000)
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let since = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        let before = ThreadUse.byName(agent.pid)
        let begin = Measuring.seconds()
        Child([writer, "\(base)/app.log", "\(rate)", "\(seconds)", "\(size)"]).wait()
        let after = ThreadUse.byName(agent.pid)
        let duration = Measuring.seconds() - begin
        let values = (consumer.readLine() ?? "").split(separator: " ").compactMap {
            $0.split(separator: "=").last.flatMap { Double($0) }
        }
        guard consumer.wait() == 0, values.count == 3 else { fail("follow the lines", 0) }
        agent.end()
        hub.child.end()
        let (acknowledged, answers) = acknowledgements.take(after: since)
        // A line whose head lies across two records of TLS may be missed.
        guard let longest = acknowledged.last, acknowledged.count * 100 > count * 98 else {
            fail("see the acknowledgements: \(acknowledged.count) of \(count)", 0)
        }
        var figures = Figures()
        figures.consumed = Times(median: values[0] / 1000, late: values[1] / 1000, longest: values[2] / 1000)
        figures.acknowledged = Times(
            median: acknowledged[acknowledged.count / 2], late: acknowledged[acknowledged.count * 99 / 100],
            longest: longest)
        for (name, use) in after {
            let old = before[name] ?? ThreadUse()
            let processor = Double(use.time - old.time) / 1e9 / duration * 100
            figures.processor += processor
            figures.threads[name] = (processor, Double(use.switches - old.switches) / duration)
        }
        figures.threads = figures.threads.filter { $0.value.processor >= 0.05 || $0.value.wakes >= 1 }
        figures.transfers = Double(answers) / duration
        figures.syncs = costOfSyncs(max(1, answers / seconds), bytes: max(1, count * size / answers))
        // Every 4 ms, so that half of the lines wait 2 ms before anything else is done with them.
        if sync == "always" { figures.fewestSyncs = costOfSyncs(250, bytes: max(1, rate * size / 250)) }
        return figures
    }

    /// Percent of a processor.
    private func costOfSyncs(_ rate: Int, bytes: Int) -> Double {
        let program = contestant("sync_cost", in: base)
        let child = Child([program, "\(base)/synced", "\(rate)", "\(seconds)", "\(bytes)"])
        let used = child.readLine()?.split(separator: "=").last.flatMap { Double($0) }
        guard child.wait() == 0, let used else { fail("write and sync", 0) }
        return used / Double(seconds) * 100
    }
}
