import Glibc
import Measuring

/// What the agent is to do.
struct Job {
    var files = 4
    var partitions = 4
    /// Bytes of a line.
    var length = 200
    /// MB/s that are written while it runs; nil: all is there when it starts.
    var load: Int?
}

/// Runs an agent against a hub of its own, from its first line to the last acknowledgement.
struct Bench {
    let binary: String
    let base: String
    /// Of a job that has no load.
    let mebibytes: Int
    /// Of a job with one.
    let seconds: Int

    struct Figures {
        var processor = 0.0
        var peak = 0.0
        var rate = 0.0
    }

    func run(_ job: Job) -> Figures {
        Child(["rm", "-rf"] + ["state", "hub", "certificates", "logs"].map { "\(base)/\($0)" }).wait()
        let hub = Hub(binary: binary, directory: base, partitions: job.partitions)
        defer { hub.child.end() }
        return job.load.map { offered($0, job, hub) } ?? waiting(job, hub)
    }

    private func waiting(_ job: Job, _ hub: Hub) -> Figures {
        let logs = Logs(directory: "\(base)/logs", mebibytes: mebibytes, files: job.files, length: job.length)
        let configuration = hub.configureAgent(directory: base, include: logs.include, sync: "always")
        let begin = Measuring.seconds()
        let agent = Child([binary, "run", "--config", configuration])
        Control(directory: base).awaitAcknowledgement(of: logs.lines, agent)
        return figures(of: agent, bytes: logs.bytes, seconds: Measuring.seconds() - begin, processorBefore: 0)
    }

    private func offered(_ megabytes: Int, _ job: Job, _ hub: Hub) -> Figures {
        let first = Logs(directory: "\(base)/logs", mebibytes: 1, files: job.files, length: job.length)
        let configuration = hub.configureAgent(directory: base, include: first.include, sync: "always")
        let agent = Child([binary, "run", "--config", configuration])
        Control(directory: base).awaitAcknowledgement(of: first.lines, agent)
        let before = agent.processorSeconds
        let begin = Measuring.seconds()
        let writer = LoadWriter(paths: first.paths, length: job.length, bytesPerSecond: megabytes * 1_000_000)
        let lines = writer.run(seconds: seconds)
        Control(directory: base).awaitAcknowledgement(of: first.lines + lines, agent)
        return figures(
            of: agent, bytes: lines * job.length, seconds: Measuring.seconds() - begin, processorBefore: before)
    }

    private func figures(of agent: Child, bytes: Int, seconds: Double, processorBefore: Double) -> Figures {
        let used = agent.processorSeconds - processorBefore
        let peak = agent.peakMiB
        agent.end()
        return Figures(
            processor: used / (Double(bytes) / 1_073_741_824), peak: peak, rate: Double(bytes) / 1e6 / seconds)
    }
}

/// Appends lines to files, a little to each in turn every millisecond, at a rate.
struct LoadWriter {
    let paths: [String]
    let length: Int
    let bytesPerSecond: Int

    /// How many lines it wrote.
    func run(seconds: Int) -> Int {
        let files = paths.map { open($0, O_WRONLY | O_APPEND) }
        defer { files.forEach { close($0) } }
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: length - 1) + [UInt8(ascii: "\n")]
        let total = bytesPerSecond * seconds / length
        let piece = Array(repeatElement(line, count: max(1, bytesPerSecond / 1000 / length + 1)).joined())
        let begin = Measuring.seconds()
        var (lines, turn) = (0, 0)
        while lines < total {
            let due = min(total, Int((Measuring.seconds() - begin) * Double(bytesPerSecond)) / length)
            while lines < due {
                let count = min(due - lines, piece.count / length)
                let file = files[turn % files.count]
                guard write(file, piece, count * length) == count * length else { fail("write a log") }
                lines += count
                turn += 1
            }
            usleep(1000)
        }
        return lines
    }
}
