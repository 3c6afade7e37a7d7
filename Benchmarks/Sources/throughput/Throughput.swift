// The whole job: files -> spool (synced) -> AMQP over TLS -> hub in another process. Beside it, in the same run: `cp` + fsync of
// the same files, a sender over TLS that does nothing else, and rsyslog doing the nearest thing that it does, from files over
// plain TCP, through a queue in memory.
//
//     throughput TAILRACE [--mebibytes 1024] [--runs 3] [--files 4] [--sync always] [--directory DIR]
import Glibc
import Measuring

@main
struct Throughput {
    let binary: String
    let runs: Int
    let sync: String
    let base: String
    let logs: Logs

    static func main() {
        let options = Options()
        let usage = "throughput TAILRACE [--mebibytes N] [--runs N] [--files N] [--sync always] [--directory DIR]"
        let binary = options.programs(1, usage: usage)[0]
        let base = options.text("directory", "/tmp") + "/tailrace-throughput-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let logs = Logs(
            directory: "\(base)/logs", mebibytes: options.number("mebibytes", 1024), files: options.number("files", 4))
        Throughput(
            binary: binary, runs: max(1, options.number("runs", 3)), sync: options.text("sync", "always"), base: base,
            logs: logs
        ).measure()
    }

    func measure() {
        print("\(logs.lines) lines of \(Logs.length) bytes in \(logs.paths.count) files")
        print("sync = \(sync), TLS, hub in another process")
        let (sender, rsyslog) = (TLSSender(directory: base), Rsyslog(directory: base))
        var ours: [Figures] = []
        var theirs: [Figures] = []
        var senders: [Figures] = []
        var copies: [Double] = []
        // In turns, so that what disturbs one disturbs the others.
        for index in 1...runs {
            copies.append(copy())
            senders.append(sender.run(logs))
            theirs.append(rsyslog.run(logs))
            ours.append(tailrace())
            complain("run \(index) of \(runs): \(Int(ours[index - 1].rate)) MB/s")
        }
        tableHeading()
        row("file to acknowledgement", "MB/s", ours.map(\.rate))
        row("agent, processor", "s/GiB", ours.map(\.processor))
        row("agent, peak resident", "MiB", ours.map(\.peak))
        row("agent, written to disk", "B/B", ours.map(\.written))
        row("hub, processor", "s/GiB", ours.map(\.otherProcessor))
        row("cp + fsync of the files", "MB/s", copies)
        row("TLS sender alone", "MB/s", senders.map(\.rate))
        row("TLS sender, processor", "s/GiB", senders.map(\.processor))
        row("rsyslog, in memory, no TLS", "MB/s", theirs.map(\.rate))
        row("rsyslog, processor", "s/GiB", theirs.map(\.processor))
        row("rsyslog, peak resident", "MiB", theirs.map(\.peak))
        row("rate, to cp + fsync", "x", zip(ours, copies).map { $0.rate / $1 })
        row("rate, to rsyslog", "x", zip(ours, theirs).map { $0.rate / $1.rate })
        row("processor, to rsyslog", "x", zip(ours, theirs).map { $0.processor / $1.processor })
    }

    /// `cp` of all logs, and fsync of the copies, in MB/s.
    private func copy() -> Double {
        let begin = seconds()
        mkdir("\(base)/copy", 0o700)
        for path in logs.paths {
            let copy = "\(base)/copy/" + (path.split(separator: "/").last ?? "")
            Child(["cp", path, copy]).wait()
            let descriptor = open(copy, O_RDONLY)
            fsync(descriptor)
            close(descriptor)
        }
        let time = seconds() - begin
        Child(["rm", "-rf", "\(base)/copy"]).wait()
        return Double(logs.bytes) / 1e6 / time
    }

    private func tailrace() -> Figures {
        Child(["rm", "-rf", "\(base)/state", "\(base)/hub", "\(base)/certificates"]).wait()
        let hub = Hub(binary: binary, directory: base)
        let configuration = hub.configureAgent(directory: base, include: "\(logs.directory)/*.log", sync: sync)
        let begin = seconds()
        let agent = Child([binary, "run", "--config", configuration])
        awaitAcknowledgement(of: logs.lines, binary: binary, configuration: configuration, agent: agent)
        var figures = Figures(logs, seconds: seconds() - begin, of: agent)
        figures.otherProcessor = hub.child.processorSeconds / logs.gibibytes
        agent.end()
        hub.child.end()
        return figures
    }
}
