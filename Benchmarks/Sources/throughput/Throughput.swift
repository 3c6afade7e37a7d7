// File -> spool (synced) -> AMQP over TLS -> hub in another process, and beside it, in the same run, `cp` + fsync of the
// same file as the yardstick.
//
//     throughput TAILRACE [--mebibytes 1024] [--runs 3] [--files 4] [--sync always] [--directory DIR]
import Glibc
import Measuring

let usage = "usage: throughput TAILRACE [--mebibytes N] [--runs N] [--files N] [--sync always] [--directory DIR]"

@main
struct Throughput {
    let binary: String
    let mebibytes: Int
    let runs: Int
    let files: Int
    let sync: String
    let base: String
    let lineLength = 200
    var linesPerFile: Int { mebibytes * 1_048_576 / files / lineLength }
    var lines: Int { linesPerFile * files }
    var bytes: Int { lines * lineLength }
    var gibibytes: Double { Double(bytes) / 1_073_741_824 }

    init?(_ arguments: [String]) {
        guard let binary = arguments.first, !binary.hasPrefix("-") else { return nil }
        func option(_ name: String, _ standard: String) -> String {
            guard let index = arguments.firstIndex(of: "--\(name)"), index + 1 < arguments.count else {
                return standard
            }
            return arguments[index + 1]
        }
        self.binary = binary
        mebibytes = Int(option("mebibytes", "1024")) ?? 1024
        runs = max(1, Int(option("runs", "3")) ?? 3)
        files = max(1, Int(option("files", "4")) ?? 4)
        sync = option("sync", "always")
        base = option("directory", "/tmp") + "/tailrace-throughput-\(getpid())"
    }

    static func main() {
        guard let benchmark = Throughput(Array(CommandLine.arguments.dropFirst())) else {
            complain(usage)
            exit(2)
        }
        benchmark.measure()
    }

    func measure() {
        mkdir(base, 0o700)
        mkdir("\(base)/logs", 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        makeLogs()
        print("\(lines) lines of \(lineLength) bytes (\(mebibytes) MiB) in \(files) files")
        print("sync = \(sync), TLS, hub in another process")
        var all: [Figures] = []
        for index in 1...runs {
            let figures = run()
            print("run \(index) of \(runs): \(Int(figures.megabytesPerSecond)) MB/s")
            all.append(figures)
        }
        tableHeading()
        row("file to acknowledgement", "MB/s", all.map(\.megabytesPerSecond))
        row("agent, processor", "s/GiB", all.map(\.agentProcessor))
        row("hub, processor", "s/GiB", all.map(\.hubProcessor))
        row("agent, peak resident", "MiB", all.map(\.agentPeak))
        row("cp + fsync of the same files", "MB/s", all.map { Double(bytes) / 1e6 / $0.copySeconds })
        row("ratio to cp + fsync", "x", all.map { $0.copySeconds / $0.seconds })
    }

    /// Lines of 200 bytes with a number each, so that no two are equal.
    func makeLogs() {
        for file in 0..<files {
            let descriptor = open("\(base)/logs/app-\(file).log", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
            guard descriptor >= 0 else { fail("create a log") }
            var block: [UInt8] = []
            block.reserveCapacity(1_100_000)
            for line in 0..<linesPerFile {
                var text = Array("2026-11-21T12:00:00.000Z INFO request handled file=\(file) line=\(line) ".utf8)
                while text.count < lineLength - 1 { text.append(UInt8(97 + (text.count &* 7 &+ line) % 26)) }
                block += text
                block.append(10)
                if block.count > 1_000_000 || line == linesPerFile - 1 {
                    guard write(descriptor, block, block.count) == block.count else { fail("write a log") }
                    block.removeAll(keepingCapacity: true)
                }
            }
            fsync(descriptor)
            close(descriptor)
        }
    }

    /// `cp` of all logs, and fsync of the copies.
    func yardstick() -> Double {
        let begin = seconds()
        mkdir("\(base)/copy", 0o700)
        for file in 0..<files {
            Child(["cp", "\(base)/logs/app-\(file).log", "\(base)/copy/app-\(file).log"]).wait()
            let descriptor = open("\(base)/copy/app-\(file).log", O_RDONLY)
            fsync(descriptor)
            close(descriptor)
        }
        let time = seconds() - begin
        Child(["rm", "-rf", "\(base)/copy"]).wait()
        return time
    }

    func run() -> Figures {
        var figures = Figures()
        figures.copySeconds = yardstick()

        Child(["rm", "-rf", "\(base)/state", "\(base)/hub", "\(base)/certificates"]).wait()
        let hub = Hub(binary: binary, directory: base)
        let configuration = hub.configureAgent(directory: base, include: "\(base)/logs/*.log", sync: sync)

        let begin = seconds()
        let agent = Child([binary, "run", "--config", configuration])
        awaitAcknowledgement(of: lines, binary: binary, configuration: configuration, agent: agent)
        figures.seconds = seconds() - begin
        figures.megabytesPerSecond = Double(bytes) / 1e6 / figures.seconds
        figures.agentProcessor = agent.processorSeconds / gibibytes
        figures.hubProcessor = hub.child.processorSeconds / gibibytes
        figures.agentPeak = agent.peakMiB
        agent.end()
        hub.child.end()
        return figures
    }
}

struct Figures {
    var megabytesPerSecond = 0.0
    var agentProcessor = 0.0
    var hubProcessor = 0.0
    var agentPeak = 0.0
    var copySeconds = 0.0
    var seconds = 0.0
}
