// An agent that has nothing to do: 1,000 files that are all read and acknowledged, then silence.
//
//     idle TAILRACE [--files 1000] [--seconds 20] [--directory DIR]
import Glibc
import Measuring

@main
struct Idle {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard let binary = arguments.first, !binary.hasPrefix("-") else {
            complain("usage: idle TAILRACE [--files N] [--seconds N] [--directory DIR]")
            exit(2)
        }
        func option(_ name: String, _ standard: String) -> String {
            let index = arguments.firstIndex(of: "--\(name)").map { $0 + 1 }
            return index.flatMap { $0 < arguments.count ? arguments[$0] : nil } ?? standard
        }
        let files = Int(option("files", "1000")) ?? 1000
        let period = UInt32(option("seconds", "20")) ?? 20
        let base = option("directory", "/tmp") + "/tailrace-idle-\(getpid())"
        mkdir(base, 0o700)
        mkdir("\(base)/logs", 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        for file in 0..<files { write("the only line of file \(file)\n", to: "\(base)/logs/app-\(file).log") }

        let hub = Hub(binary: binary, directory: base)
        let configuration = hub.configureAgent(directory: base, include: "\(base)/logs/*.log", sync: "always")
        let agent = Child([binary, "run", "--config", configuration])
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
        agent.end()
        hub.child.end()
    }
}
