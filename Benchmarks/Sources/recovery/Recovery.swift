// An agent with a large backlog that is killed: how long after its next start the service acknowledges the first record, and
// how much memory it takes, then and while the backlog is sent.
//
//     recovery TAILRACE [--gibibytes 10] [--rounds 3] [--seconds 8] [--directory DIR]
import Glibc
import Measurements
import Measuring

@main
struct Recovery {
    private static let length = 200

    static func main() {
        let options = Options()
        let usage = "recovery TAILRACE [--gibibytes N] [--rounds N] [--seconds N] [--directory DIR]"
        let binary = options.programs(1, usage: usage)[0]
        let size = max(1, options.number("gibibytes", 10))
        let base = options.text("directory", "/tmp") + "/tailrace-recovery-\(getpid())"
        mkdir(base, 0o700)
        defer { Child(["rm", "-rf", base]).wait() }
        let lines = (size << 30) / length
        writeLog("\(base)/app.log", lines: lines)

        let gone = Hub(binary: binary, directory: base)
        gone.child.end()
        var configuration = gone.configureAgent(
            directory: base, include: "\(base)/app.log", sync: "always", spoolSize: "\(size * 2)GiB")
        var agent = Child([binary, "run", "--config", configuration])
        awaitSpool(lines, binary: binary, configuration: configuration, agent: agent)
        agent.end(SIGKILL)

        var first: [Double] = []
        var peak: [Double] = []
        var rates: [Double] = []
        var later: [Double] = []
        var before = 0
        for _ in 0..<max(1, options.number("rounds", 3)) {
            let hub = Hub(binary: binary, directory: base)
            configuration = hub.configureAgent(
                directory: base, include: "\(base)/app.log", sync: "always", spoolSize: "\(size * 2)GiB")
            forget("\(base)/state/spool")
            let begin = seconds()
            agent = Child([binary, "run", "--config", configuration])
            var count = before
            while count <= before {
                guard seconds() - begin < 60 else { fail("have a record acknowledged within 60 s", 0) }
                usleep(10_000)
                count = acknowledgedByOutput(binary, configuration) ?? before
            }
            first.append(seconds() - begin)
            peak.append(agent.peakMiB)
            let start = seconds()
            sleep(UInt32(max(1, options.number("seconds", 8))))
            let sent = (acknowledgedByOutput(binary, configuration) ?? count) - count
            rates.append(Double(sent * length) / 1e6 / (seconds() - start))
            later.append(agent.peakMiB)
            // First the hub, so that no acknowledgement comes that nobody sees.
            hub.child.end(SIGKILL)
            sleep(2)
            before = acknowledgedByOutput(binary, configuration) ?? count + sent
            agent.end(SIGKILL)
        }
        var results = Results("\(size) GiB in the spool, none of it in memory, after kill -9")
        results.add("until the first acknowledgement", "s", first)
        results.add("until the first acknowledgement", "MiB peak", peak)
        results.add("while it is sent", "MiB peak", later)
        results.add("while it is sent", "MB/s", rates)
        results.tell()
    }

    private static func writeLog(_ path: String, lines: Int) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { fail("create \(path)") }
        defer { close(descriptor) }
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: length - 1) + [UInt8(ascii: "\n")]
        let block = Array(repeatElement(line, count: 5000).joined())
        var left = lines
        while left > 0 {
            let count = min(left, 5000)
            guard write(descriptor, block, count * length) == count * length else { fail("write \(path)") }
            left -= count
        }
    }

    private static func status(_ binary: String, _ configuration: String) -> String {
        let child = Child([binary, "status", "--json", "--config", configuration])
        defer { child.wait() }
        return child.readAll()
    }

    private static func awaitSpool(_ lines: Int, binary: String, configuration: String, agent: Child) {
        let begin = seconds()
        while (number("committed", in: status(binary, configuration)) ?? 0) < lines {
            if agent.hasEnded || seconds() - begin > 600 { fail("fill the spool", 0) }
            usleep(200_000)
        }
    }

    /// Nil while the agent does not answer.
    private static func acknowledgedByOutput(_ binary: String, _ configuration: String) -> Int? {
        var text = Substring(status(binary, configuration))
        while !text.isEmpty, !text.hasPrefix("\"outputs\"") { text = text.dropFirst() }
        return number("acknowledged", in: String(text))
    }

    /// The files' pages leave the memory, as after a night.
    private static func forget(_ directory: String) {
        guard let stream = opendir(directory) else { fail("list \(directory)") }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let file = open("\(directory)/\(name)", O_RDONLY)
            guard file >= 0 else { continue }
            fdatasync(file)
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
            close(file)
        }
    }
}
