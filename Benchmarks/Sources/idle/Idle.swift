// An agent that has nothing to do: many files that are all read and acknowledged, then silence; then a line in one of them
// now and then, and how long it takes until the spool has it on the disk.
//
//     idle TAILRACE [--files 1000] [--seconds 20] [--lines 200] [--directory DIR]
import Glibc
import Measuring

@main
struct Idle {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard let binary = arguments.first, !binary.hasPrefix("-") else {
            complain("usage: idle TAILRACE [--files N] [--seconds N] [--lines N] [--directory DIR]")
            exit(2)
        }
        func option(_ name: String, _ standard: String) -> String {
            let index = arguments.firstIndex(of: "--\(name)").map { $0 + 1 }
            return index.flatMap { $0 < arguments.count ? arguments[$0] : nil } ?? standard
        }
        let files = max(1, Int(option("files", "1000")) ?? 1000)
        let period = UInt32(option("seconds", "20")) ?? 20
        let lines = Int(option("lines", "200")) ?? 200
        let base = option("directory", "/tmp") + "/tailrace-idle-\(getpid())"
        mkdir(base, 0o700)
        mkdir("\(base)/logs", 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        // A hundred to a directory, as applications have them.
        let paths = (0..<files).map { "\(base)/logs/\($0 / 100)/app-\($0).log" }
        for (file, path) in paths.enumerated() {
            if file % 100 == 0 { mkdir("\(base)/logs/\(file / 100)", 0o700) }
            write("the only line of file \(file)\n", to: path)
        }

        let hub = Hub(binary: binary, directory: base)
        let configuration = hub.configureAgent(directory: base, include: "\(base)/logs/*/*.log", sync: "always")
        let syncs = SyncTimes(directory: base)
        let agent = Child(syncs.prefix + [binary, "run", "--config", configuration])
        awaitAcknowledgement(of: files, binary: binary, configuration: configuration, agent: agent)
        sleep(5)

        let (switches, processor) = (agent.voluntarySwitches, agent.processorSeconds)
        sleep(period)
        print("\(files) files, all acknowledged, nothing written for \(period) s")
        tableHeading()
        row("agent, resident", "MiB", [agent.residentMiB])
        row("agent, peak resident", "MiB", [agent.peakMiB])
        row("agent, wake-ups", "/s", [Double(agent.voluntarySwitches - switches) / Double(period)])
        row("agent, processor", "%", [(agent.processorSeconds - processor) / Double(period) * 100])

        // At times that have nothing to do with the agent's own.
        var random = SystemRandomNumberGenerator()
        var latencies: [Double] = []
        for line in 0..<lines {
            usleep(UInt32.random(in: 20_000..<80_000, using: &random))
            guard let path = paths.randomElement(using: &random) else { break }
            let time = append("line \(line) that is written while all is quiet\n", to: path)
            latencies.append(Double(syncs.first(after: time).end - time) / 1e6)
        }
        latencies.sort()
        if !latencies.isEmpty {
            row("a new line, durable after", "ms", latencies)
            row("99 of a hundred lines within", "ms", [latencies[min(latencies.count - 1, latencies.count * 99 / 100)]])
            row("agent, resident", "MiB", [agent.residentMiB])
        }
        agent.end()
        hub.child.end()
    }

    /// Returns the time just before (CLOCK_MONOTONIC, nanoseconds).
    private static func append(_ text: String, to path: String) -> Int64 {
        let descriptor = open(path, O_WRONLY | O_APPEND)
        guard descriptor >= 0 else { fail("open \(path)") }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        guard write(descriptor, bytes, bytes.count) == bytes.count else { fail("write \(path)") }
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
