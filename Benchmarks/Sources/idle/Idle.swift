// An agent that has nothing to do: many files that are all read and acknowledged, then silence; then a line in one of them
// now and then, and how long it takes until the spool has it on the disk.
//
//     idle TAILRACE [--files 1000] [--seconds 20] [--lines 200] [--directory DIR]
import Glibc
import Measurements
import Measuring

@main
struct Idle {
    static func main() {
        let options = Options()
        let usage = "idle TAILRACE [--files N] [--seconds N] [--lines N] [--directory DIR]"
        let binary = options.programs(1, usage: usage)[0]
        let files = max(1, options.number("files", 1000))
        let period = UInt32(max(1, options.number("seconds", 20)))
        let lines = options.number("lines", 200)
        let base = options.text("directory", "/tmp") + "/tailrace-idle-\(getpid())"
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
        Control(directory: base).awaitAcknowledgement(of: files, agent)
        sleep(5)

        let (switches, processor) = (agent.voluntarySwitches, agent.processorSeconds)
        sleep(period)
        let name = "agent"
        var results = Results("\(files) files, all acknowledged, nothing written")
        results.add(name, "MiB resident", [agent.residentMiB])
        results.add(name, "MiB peak", [agent.peakMiB])
        results.add(name, "wake-ups/s", [Double(agent.voluntarySwitches - switches) / Double(period)])
        results.add(name, "% of a processor", [(agent.processorSeconds - processor) / Double(period) * 100])

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
        results.add(name, "ms, a line durable", latencies)
        results.add(name, "ms, 99 %", latencies.isEmpty ? [] : [latencies[latencies.count * 99 / 100]])
        results.tell()
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
