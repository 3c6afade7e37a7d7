// A backlog after an outage: the hub is away while the agent takes so many GiB into its spool; then it comes back. How fast the
// backlog is sent, while a writer goes on adding lines to another file, and how long these take until they are durable in the
// spool. Beside it, in turns, the rate at which the same files are shipped by an agent whose hub was never away.
//
//     backlog TAILRACE [--gibibytes 4] [--runs 3] [--rate 1000] [--directory DIR]
import Glibc
import Measurements
import Measuring

@main
struct Backlog {
    let binary: String
    let base: String
    let lines: Int
    /// Lines that are added in a second.
    let rate: Int
    private var megabytes: Double { Double(lines * LineFile.length) / 1e6 }

    static func main() {
        let options = Options()
        let usage = "backlog TAILRACE [--gibibytes N] [--runs N] [--rate N] [--directory DIR]"
        let binary = options.programs(1, usage: usage)[0]
        let base = options.text("directory", "/tmp") + "/tailrace-backlog-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let lines = (max(1, options.number("gibibytes", 4)) << 30) / LineFile.length / 4
        for file in 0..<4 { LineFile("\(base)/app-\(file).log").append(lines) }
        Backlog(binary: binary, base: base, lines: lines * 4, rate: max(100, options.number("rate", 1000)))
            .measure(runs: max(1, options.number("runs", 3)))
    }

    func measure(runs: Int) {
        var live: [Double] = []
        var outages: [Outage] = []
        for index in 1...runs {
            live.append(shipped())
            outages.append(outage())
            complain(
                "run \(index) of \(runs): live \(Int(live[index - 1])), backlog \(Int(outages[index - 1].sent)) MB/s")
        }
        var results = Results(
            "a backlog of \(Int(megabytes)) MB after an outage, sync = always, TLS, \(rate) lines a second added")
        results.add("hub there, files to acknowledgement", "MB/s", live)
        results.add("hub away, files to spool", "MB/s", outages.map(\.spooled))
        results.add("hub back until the first acknowledgement", "s", outages.map(\.pause))
        results.add("backlog to acknowledgement", "MB/s", outages.map(\.sent))
        results.compare("backlog to acknowledgement", to: "hub there, files to acknowledgement")
        results.add("added lines until durable", "ms, median", outages.map { $0.waits.share(0.5) })
        results.add("added lines until durable", "ms, 99 %", outages.map { $0.waits.share(0.99) })
        results.add("added lines until durable", "ms, longest", outages.map { $0.waits.share(1) })
        results.add("agent with a backlog", "MiB peak", outages.map(\.peak))
        results.tell()
    }

    // MARK: - The two ways

    private func clean() {
        Child(["rm", "-rf", "\(base)/state", "\(base)/hub", "\(base)/certificates", "\(base)/added.log"]).wait()
    }

    private func start(_ hub: Hub) -> (agent: Child, control: Control) {
        let configuration = hub.configureAgent(directory: base, include: "\(base)/*.log", sync: "always")
        return (Child([binary, "run", "--config", configuration]), Control(directory: base))
    }

    /// The hub is there from the beginning: MB/s from the first acknowledgement to the last.
    private func shipped() -> Double {
        clean()
        let hub = Hub(binary: binary, directory: base)
        let (agent, control) = start(hub)
        let first = control.wait(agent) { $0.acknowledged > 0 }
        let last = control.wait(agent) { $0.acknowledged >= lines }
        agent.end()
        hub.child.end()
        return megabytes * Double(lines - first.status.acknowledged) / Double(lines) / (last.time - first.time)
    }

    private struct Outage {
        /// MB/s, while the hub was away, and from the first acknowledgement after it to the last.
        var spooled = 0.0
        var sent = 0.0
        /// Seconds from the hub's return to the first acknowledgement.
        var pause = 0.0
        var waits = Waits()
        var peak = 0.0
    }

    private func outage() -> Outage {
        clean()
        var outage = Outage()
        // Once, so that the agent knows the hub, as it does before an outage.
        let gone = Hub(binary: binary, directory: base)
        gone.child.end()
        let file = LineFile("\(base)/added.log")
        let begin = seconds()
        let (agent, control) = start(gone)
        let spooled = control.wait(agent) { $0.committed >= lines }
        outage.spooled = megabytes / (spooled.time - begin)

        let hub = Child([
            binary, "hub", "--listen", "127.0.0.1:\(gone.port)", "--hub", "bench", "--partitions", "4", "--store",
            "\(base)/hub", "--retention", "64MiB", "--certificate-directory", "\(base)/certificates", "--sas-name",
            gone.keyName, "--sas-key", gone.key,
        ])
        _ = hub.readLine()
        let back = seconds()
        var added = AddedLines(file: file, rate: rate, base: spooled.status.committed)
        var first: (time: Double, acknowledged: Int)?
        while true {
            guard !agent.hasEnded, seconds() - back < 600 else { fail("send the backlog", 0) }
            added.write(seconds())
            let status = control.status()
            let now = seconds()
            added.see(status.committed, at: now)
            if first == nil, status.acknowledged > 0 {
                first = (now, status.acknowledged)
                outage.pause = now - back
            }
            if let first, status.acknowledged >= lines {
                let share = Double(status.acknowledged - first.acknowledged) / Double(lines)
                outage.sent = megabytes * share / (now - first.time)
                break
            }
            usleep(10_000)
        }
        outage.waits = added.waits
        outage.peak = agent.peakMiB
        agent.end()
        hub.end()
        return outage
    }
}
