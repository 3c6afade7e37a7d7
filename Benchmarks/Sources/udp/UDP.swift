// Syslog datagrams from a sender in C into the agent's spool, into a program in C that writes them to a file and does nothing
// else, and into rsyslog's imudp with a queue on disk and with one in memory: the highest rate of those tried at which none was
// lost in any round, and the processor time of a million.
//
//     udp TAILRACE [--seconds 3] [--size 200] [--rates 40000,80000,…] [--rounds 3] [--only WORD,…] [--directory DIR]
//
// The agent's output leads nowhere, so that only taking and storing is measured. What it lost it must have counted: received
// and counted are compared with what was sent after each turn. Rate 0 is as fast as the sender can.
import Glibc
import Measurements
import Measuring

@main
struct UDP {
    let binary: String
    let seconds: Double
    let size: Int
    let rates: [Int]
    let rounds: Int
    /// Words in the names of those who take part; none: all.
    let only: [String]
    let base: String
    let sender: String
    let receiver: String

    static func main() {
        let options = Options()
        let usage =
            "udp TAILRACE [--seconds N] [--size N] [--rates A,B,…] [--rounds N] [--only WORD,…] [--directory DIR]"
        let binary = options.programs(1, usage: usage)[0]
        let base = options.text("directory", "/tmp") + "/tailrace-udp-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let rates = options.text("rates", "40000,80000,120000,160000,200000,250000,300000,400000,0")
        UDP(
            binary: binary, seconds: Double(options.number("seconds", 3)), size: options.number("size", 200),
            rates: rates.split(separator: ",").compactMap { Int($0) }, rounds: max(1, options.number("rounds", 3)),
            only: options.text("only", "").split(separator: ",").map(String.init), base: base,
            sender: contestant("udp_sender", in: base), receiver: contestant("udp_receiver", in: base)
        ).measure()
    }

    func measure() {
        let contestants = contestants.filter { one in only.isEmpty || only.contains { one.name.contains($0) } }
        var best: [[Double]] = contestants.map { _ in [] }
        var isBalanced = true
        for rate in rates {
            var outcomes: [[Outcome]] = contestants.map { _ in [] }
            // In turns, so that what disturbs one disturbs the others.
            for _ in 0..<rounds {
                for (index, contestant) in contestants.enumerated() {
                    outcomes[index].append(turn(rate, contestant))
                }
            }
            let speed = rate == 0 ? "as fast as they can be sent" : "\(rate) a second"
            var results = Results("datagrams of \(size) bytes, \(speed)")
            for (index, contestant) in contestants.enumerated() {
                let outcomes = outcomes[index]
                results.add(contestant.name, "k/s", outcomes.map { $0.rate / 1000 })
                results.add(contestant.name, "% lost", outcomes.map { Double($0.lost) / Double(max(1, $0.sent)) * 100 })
                results.add(contestant.name, "s/M", outcomes.map(\.processor))
                results.add(contestant.name, "MiB peak", outcomes.map(\.peak))
                isBalanced = tellBalance(outcomes) && isBalanced
                if outcomes.allSatisfy({ $0.lost == 0 }) { best[index] = outcomes.map { $0.rate / 1000 } }
            }
            for other in contestants.dropFirst() { results.compare(contestants[0].name, to: other.name) }
            results.tell()
        }
        var results = Results("datagrams of \(size) bytes, the highest rate without a loss in \(rounds) rounds")
        for (contestant, rates) in zip(contestants, best) { results.add(contestant.name, "k/s", rates) }
        for other in contestants.dropFirst() { results.compare(contestants[0].name, to: other.name) }
        results.tell()
        if !isBalanced { fail("account for every datagram", 0) }
    }

    private struct Contestant {
        let name: String
        /// On a port; what it keeps lies in a directory that is there.
        let start: (_ port: Int) -> Child
        /// It tells what it received.
        var counts = false
    }

    private var contestants: [Contestant] {
        [
            Contestant(name: "tailrace, spool on disk", start: agent, counts: true),
            Contestant(
                name: "recvmmsg in C, into a file", start: { Child([receiver, "\($0)", "\(base)/state/datagrams"]) }),
            Contestant(name: "rsyslog, queue on disk", start: { rsyslog($0, queue: "Disk") }),
            Contestant(name: "rsyslog, queue in memory", start: { rsyslog($0, queue: "LinkedList") }),
        ]
    }

    /// What the agent lost, by reason, and whether that and what it received is what was sent.
    private func tellBalance(_ outcomes: [Outcome]) -> Bool {
        var isBalanced = true
        var reasons: [String: Int] = [:]
        for outcome in outcomes {
            guard let agent = outcome.agent else { continue }
            for drop in agent.drops { reasons[drop.reason, default: 0] += drop.records }
            let difference = outcome.sent - agent.received - agent.lost
            guard difference != 0 else { continue }
            isBalanced = false
            print("  NOT ACCOUNTED FOR: \(difference) of \(outcome.sent)")
        }
        for (reason, records) in reasons.sorted(by: { $0.key < $1.key }) where records > 0 {
            print("  counted by the agent in all rounds, \(reason): \(records)")
        }
        return isBalanced
    }

    private func turn(_ rate: Int, _ contestant: Contestant) -> Outcome {
        let port = Int.random(in: 20_000..<30_000)
        Child(["rm", "-rf", "\(base)/state"]).wait()
        mkdir("\(base)/state", 0o700)
        let child = contestant.start(port)
        while drops(port) == nil { usleep(20_000) }
        usleep(300_000)
        let before = child.processorSeconds
        let count = Int(Double(rate == 0 ? 300_000 : rate) * seconds)
        let sending = Child([sender, "\(port)", "\(count)", "\(size)", "\(rate)"])
        let line = sending.readLine() ?? ""
        sending.wait()
        // What is still on its way to the disk belongs to it.
        usleep(1_500_000)
        let lost = drops(port) ?? 0
        let processor = child.processorSeconds - before
        let peak = child.peakMiB
        let counts = contestant.counts ? agentCounts(of: count) : nil
        child.end(SIGKILL)
        let time = Double(line.split(separator: "=").last ?? "") ?? seconds
        return Outcome(
            rate: Double(count) / time, sent: count, lostInKernel: lost,
            processor: processor / Double(max(1, count - max(lost, counts?.lost ?? 0))) * 1e6, peak: peak,
            agent: counts)
    }

    /// What the agent says once it has taken all; nil when it does not answer.
    private func agentCounts(of sent: Int) -> AgentCounts? {
        var last: AgentCounts?
        // What lies in its memory is still on its way.
        for _ in 0..<100 {
            let status = Child([binary, "status", "--json", "--config", "\(base)/tailrace.toml"])
            let text = status.readAll()
            guard status.wait() == 0, let counts = AgentCounts(status: text) else { return nil }
            last = counts
            if counts.received + counts.lost >= sent { break }
            usleep(50_000)
        }
        return last
    }

    /// Datagrams that the socket with this port has lost; nil when there is none.
    private func drops(_ port: Int) -> Int? {
        let name = String(port, radix: 16, uppercase: true)
        let wanted = ":" + String(repeating: "0", count: 4 - name.count) + name
        for line in (contents("/proc/net/udp") ?? "").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            if fields.count > 12, fields[1].hasSuffix(wanted) { return Int(fields[12]) }
        }
        return nil
    }

    private func agent(_ port: Int) -> Child {
        write(
            """
            [agent]
            state_directory = "\(base)/state"
            [spool]
            maximum_size = "4GiB"
            [input.net]
            type = "syslog"
            listen = ["udp://127.0.0.1:\(port)"]
            [output.nowhere]
            type = "eventhubs"
            connection_string = "Endpoint=sb://127.0.0.1:1/;SharedAccessKeyName=k;SharedAccessKey=k;EntityPath=h"

            """, to: "\(base)/tailrace.toml")
        return Child(["sh", "-c", "exec \(binary) run --config \(base)/tailrace.toml 2>\(base)/tailrace.log"])
    }

    private func rsyslog(_ port: Int, queue: String) -> Child {
        write(
            """
            global(workDirectory="\(base)/state")
            main_queue(queue.type="\(queue)" queue.filename="main" queue.size="1000000" queue.maxDiskSpace="4g")
            module(load="imudp" batchSize="128")
            input(type="imudp" address="127.0.0.1" port="\(port)" rcvbufSize="32m")
            action(type="omfile" file="/dev/null")

            """, to: "\(base)/rsyslog.conf")
        return Child([
            "sh", "-c",
            "exec /usr/sbin/rsyslogd -n -f \(base)/rsyslog.conf -i \(base)/state/pid >/dev/null 2>\(base)/rsyslog.log",
        ])
    }
}
