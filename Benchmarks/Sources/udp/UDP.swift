// Syslog datagrams from a sender in C into the agent's spool, and into rsyslog's imudp with a queue on disk and with one
// in memory: the highest rate of those tried at which none was lost in any round, and the processor time of a million.
//
//     udp TAILRACE [--seconds 4] [--size 200] [--rates 40000,80000,…] [--rounds 5] [--directory DIR]
//
// The agent's output leads nowhere, so that only taking and storing is measured. What it lost it must have counted: received
// and counted are compared with what was sent after each turn. Rate 0 is as fast as the sender can.
import Glibc
import Measuring

@main
struct UDP {
    let binary: String
    let seconds: Double
    let size: Int
    let rates: [Int]
    let rounds: Int
    let base: String

    init?(_ arguments: [String]) {
        guard let binary = arguments.first, !binary.hasPrefix("-") else { return nil }
        func option(_ name: String, _ standard: String) -> String {
            let index = arguments.firstIndex(of: "--\(name)").map { $0 + 1 }
            return index.flatMap { $0 < arguments.count ? arguments[$0] : nil } ?? standard
        }
        self.binary = binary
        seconds = Double(option("seconds", "4")) ?? 4
        size = Int(option("size", "200")) ?? 200
        rates = option("rates", "40000,80000,120000,160000,200000,250000,0").split(separator: ",").compactMap {
            Int($0)
        }
        rounds = max(1, Int(option("rounds", "5")) ?? 5)
        base = option("directory", "/tmp") + "/tailrace-udp-\(getpid())"
    }

    static func main() {
        guard let benchmark = UDP(Array(CommandLine.arguments.dropFirst())) else {
            complain("usage: udp TAILRACE [--seconds N] [--size N] [--rates A,B,…] [--rounds N] [--directory DIR]")
            exit(2)
        }
        benchmark.measure()
    }

    var sender: String { "\(base)/udp_sender" }

    func measure() {
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let source = #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/Contestants/udp_sender.c"
        if Child(["cc", "-O2", "-o", sender, "/" + source]).wait() != 0 { fail("compile udp_sender.c", 0) }
        let contestants: [(String, (Int) -> Child)] = [
            ("tailrace, spool on disk", agent), ("rsyslog, queue on disk", { rsyslog($0, queue: "Disk") }),
            ("rsyslog, queue in memory", { rsyslog($0, queue: "LinkedList") }),
        ]
        print("datagrams of \(size) bytes, \(seconds) s each, \(rounds) rounds")
        var best: [Double?] = contestants.map { _ in nil }
        var isBalanced = true
        for rate in rates {
            var outcomes: [[Outcome]] = contestants.map { _ in [] }
            // In turns, so that what disturbs one disturbs the others.
            for _ in 0..<rounds {
                for (index, contestant) in contestants.enumerated() {
                    outcomes[index].append(turn(rate, contestant.1, counts: index == 0))
                }
            }
            print("\n\(rate == 0 ? "as fast as they can be sent" : "\(rate) a second")")
            tableHeading()
            for (index, contestant) in contestants.enumerated() {
                let outcomes = outcomes[index]
                print(contestant.0)
                row("  sent", "/s", outcomes.map(\.rate))
                row("  lost", "%", outcomes.map { Double($0.lost) / Double(max(1, $0.sent)) * 100 })
                row("  processor, for a million taken", "s", outcomes.map(\.processor))
                isBalanced = tellBalance(outcomes) && isBalanced
                guard outcomes.allSatisfy({ $0.lost == 0 }) else { continue }
                best[index] = max(best[index] ?? 0, outcomes.map(\.rate).min() ?? 0)
            }
        }
        print()
        for (index, contestant) in contestants.enumerated() {
            let text = best[index].map { "loss-free up to \(Int($0)) a second" } ?? "lost some at each rate"
            print("\(contestant.0): \(text)")
        }
        if !isBalanced { fail("account for every datagram", 0) }
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

    private func turn(_ rate: Int, _ start: (Int) -> Child, counts isAgent: Bool) -> Outcome {
        let port = Int.random(in: 20_000..<30_000)
        Child(["rm", "-rf", "\(base)/state"]).wait()
        mkdir("\(base)/state", 0o700)
        let child = start(port)
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
        let counts = isAgent ? agentCounts(of: count) : nil
        child.end(SIGKILL)
        let time = Double(line.split(separator: "=").last ?? "") ?? seconds
        return Outcome(
            rate: Double(count) / time, sent: count, lostInKernel: lost,
            processor: processor / Double(max(1, count - max(lost, counts?.lost ?? 0))) * 1e6, agent: counts)
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
