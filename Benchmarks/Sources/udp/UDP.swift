// Syslog datagrams from a sender in C into the agent's spool, and into rsyslog's imudp with a queue on disk and with one
// in memory: the highest rate of those tried at which the kernel lost none, and the processor time of a million.
//
//     udp TAILRACE [--seconds 4] [--size 200] [--rates 40000,80000,…] [--rounds 1] [--directory DIR]
//
// The agent's output leads nowhere, so that only taking and storing is measured. Rate 0 is as fast as the sender can.
import Glibc
import Measuring

struct Outcome {
    var rate: Double
    var sent: Int
    var lost: Int
    /// Processor seconds of a million that arrived.
    var processor: Double
}

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
        rounds = max(1, Int(option("rounds", "1")) ?? 1)
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
        print("datagrams of \(size) bytes, \(seconds) s each; what the kernel lost of them")
        var best: [Double] = contestants.map { _ in 0 }
        for rate in rates {
            for round in 1...rounds {
                for (index, contestant) in contestants.enumerated() {
                    let outcome = turn(rate, contestant.1)
                    let share = Double(outcome.lost) / Double(max(1, outcome.sent)) * 100
                    let text = "\(Int(outcome.rate)) a second, lost \(outcome.lost) (\(Int(share)) %)"
                    let processor = Double(Int(outcome.processor * 100)) / 100
                    print("round \(round): \(contestant.0): \(text), \(processor) s of processor per million taken")
                    if outcome.lost == 0 { best[index] = max(best[index], outcome.rate) }
                }
            }
        }
        for (index, contestant) in contestants.enumerated() {
            print("\(contestant.0): loss-free up to \(Int(best[index])) a second")
        }
    }

    private func turn(_ rate: Int, _ start: (Int) -> Child) -> Outcome {
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
        child.end(SIGKILL)
        let time = Double(line.split(separator: "=").last ?? "") ?? seconds
        return Outcome(
            rate: Double(count) / time, sent: count, lost: lost,
            processor: processor / Double(max(1, count - lost)) * 1e6)
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
