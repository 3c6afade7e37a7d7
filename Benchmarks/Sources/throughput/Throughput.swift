// The whole job: files -> spool (synced) -> AMQP over TLS -> hub in another process. Beside it, in the same run: `cp` + fsync of
// the same files, a sender over TLS that does nothing else, and rsyslog doing the nearest thing that it does, from files over
// plain TCP, through a queue in memory. With `--pulsar-broker`, which names the broker of the tests, the agent sends to that too.
//
//     throughput TAILRACE [--before TAILRACE] [--pulsar-broker PROGRAM] [--mebibytes 1024] [--runs 3] [--files 4]
//         [--sync always] [--only NAME] [--directory DIR]
import Glibc
import Measurements
import Measuring

@main
struct Throughput {
    let binary: String
    /// Another build, to compare with; empty: none.
    let before: String
    /// The Pulsar broker of the tests; empty: no turns with it.
    let broker: String
    let runs: Int
    let sync: String
    /// What the names of those who take part begin with.
    let only: String
    let base: String
    let logs: Logs

    static func main() {
        let options = Options()
        let usage = "throughput TAILRACE [--mebibytes N] [--runs N] [--files N] [--sync always] [--directory DIR]"
        let binary = options.programs(1, usage: usage)[0]
        // With this the paths of logs, which go with each record, are 33 bytes long, a few more than /var/log/nginx/access.log.
        let base = options.text("directory", "/tmp") + "/bench-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let logs = Logs(
            directory: "\(base)/logs", mebibytes: options.number("mebibytes", 1024), files: options.number("files", 4))
        Throughput(
            binary: binary, before: options.text("before", ""), broker: options.text("pulsar-broker", ""),
            runs: max(1, options.number("runs", 3)),
            sync: options.text("sync", "always"), only: options.text("only", ""), base: base, logs: logs
        ).measure()
    }

    func measure() {
        let (sender, rsyslog) = (TLSSender(directory: base), Rsyslog(directory: base))
        let contestants: [(name: String, run: () -> Figures)] = [
            ("tailrace, TLS", { tailrace { Hub(binary: binary, directory: base) } }),
            ("tailrace before, TLS", { tailrace(before) { Hub(binary: before, directory: base) } }),
            (
                "at least once, TLS",
                { tailrace(output: "idempotent = \"never\"") { Hub(binary: binary, directory: base) } }
            ),
            ("cp + fsync", copy),
            ("sender in C, TLS", { sender.run(logs) }),
            ("rsyslog, in memory, no TLS", { rsyslog.run(logs, .forwarded) }),
            ("rsyslog, lines and nothing else", { rsyslog.run(logs, .bare) }),
            ("tailrace to Pulsar, TLS", { tailrace { PulsarBroker(program: broker, directory: base) } }),
        ].filter { (name, _) in
            (!broker.isEmpty || !name.contains("Pulsar")) && (!before.isEmpty || !name.contains("before"))
                && (only.isEmpty || name.hasPrefix(only))
        }
        var figures: [[Figures]] = contestants.map { _ in [] }
        for run in 1...runs {
            // In turns, so that what disturbs one disturbs the others, and every other time the other way round: whoever
            // comes first finds another machine than who comes next.
            let turns = run % 2 == 1 ? Array(contestants.indices) : contestants.indices.reversed()
            for index in turns { figures[index].append(contestants[index].run()) }
            complain("run \(run) of \(runs): \(Int(figures[0].last?.rate ?? 0)) MB/s")
        }
        var results = Results(
            "files to service, sync = \(sync), \(logs.bytes / 1_000_000) MB in \(logs.paths.count) files, \(logs.length)-byte lines"
        )
        for (contestant, figures) in zip(contestants, figures) {
            results.add(contestant.name, "MB/s", figures.map(\.rate))
            results.add(contestant.name, "k/s", figures.map { $0.rate * 1000 / Double(logs.length) })
            results.add(contestant.name, "s/GiB", figures.compactMap(\.processor))
            results.add(contestant.name, "MiB peak", figures.compactMap(\.peak))
            results.add(contestant.name, "B written/B", figures.compactMap(\.written))
            results.add("the other side of \(contestant.name)", "s/GiB", figures.compactMap(\.otherProcessor))
        }
        for other in contestants.dropFirst() { results.compare(contestants[0].name, to: other.name) }
        results.tell()
    }

    /// `cp` of all logs, and fsync of the copies.
    private func copy() -> Figures {
        let begin = seconds()
        mkdir("\(base)/copy", 0o700)
        for (index, path) in logs.paths.enumerated() {
            let copy = "\(base)/copy/\(index)"
            Child(["cp", path, copy]).wait()
            let descriptor = open(copy, O_RDONLY)
            fsync(descriptor)
            close(descriptor)
        }
        let time = seconds() - begin
        Child(["rm", "-rf", "\(base)/copy"]).wait()
        return Figures(logs, seconds: time)
    }

    /// - Parameters:
    ///   - build: nil: the one to measure.
    ///   - output: lines of its configuration.
    private func tailrace(_ build: String? = nil, output: String = "", to service: () -> any Service) -> Figures {
        Child(["rm", "-rf"] + ["state", "hub", "broker", "certificates"].map { "\(base)/\($0)" }).wait()
        let service = service()
        let configuration = service.configureAgent(directory: base, include: logs.include, sync: sync, more: output)
        let begin = seconds()
        let agent = Child([build ?? binary, "run", "--config", configuration])
        Control(directory: base).awaitAcknowledgement(of: logs.lines, agent)
        var figures = Figures(logs, seconds: seconds() - begin, of: agent)
        figures.otherProcessor = service.child.processorSeconds / logs.gibibytes
        agent.end()
        service.child.end()
        return figures
    }
}
