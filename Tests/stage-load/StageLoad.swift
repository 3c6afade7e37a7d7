// The stages of the agent's work alone, beside what the machine can do: the median of the rounds with least and most.
//
//     stage-load stages [--only NAME] [--rounds 5]          each on one thread, per second of a processor
//     stage-load spool [--mebibytes 1024] [--rounds 5]      the spool with its thread, with and without fdatasync
//     stage-load filter [--lines 1000000] [--rounds 5]      what rules for records cost
//     stage-load compress [--rounds 5]                      what compressing the spool would cost and save
//     stage-load reopen [--mebibytes 10240] [--rounds 5]    a large spool, opened after a kill
//     stage-load pass NAME COUNT                            a stage so many times, and nothing else: for Tests/release-cost
//     stage-load names                                      of the stages, with the records of a pass
//
// What they keep on the disk lies in a directory of its own in that of `--directory`, or in /tmp.
import Glibc
import LoadSupport

@main
struct StageLoad {
    static func main() {
        do {
            try run()
        } catch {
            complain("stage-load: \(error)")
            exit(1)
        }
    }

    private static func run() throws {
        let arguments = Arguments(CommandLine.arguments)
        let directory = "\(arguments?.text("directory") ?? "/tmp")/stage-load-\(getpid())"
        guard mkdir(directory, 0o700) == 0 else { throw Failure("cannot make \(directory)") }
        defer { remove(directory) }
        let rounds = max(1, arguments?.number("rounds", 5) ?? 5)
        func bytes(_ standard: Int) -> Int { max(64, arguments?.number("mebibytes", standard) ?? 0) << 20 }
        switch arguments?.mode {
        case "names": for kind in StageKind.all { print(kind.name, kind.records) }
        case "pass": try pass(Array(CommandLine.arguments.dropFirst(2)), directory)
        case "stages": try StageRates(directory: directory).run(rounds, only: arguments?.text("only"))
        case "spool": try SpoolRates(directory: "\(directory)/spool", bytes: bytes(1024)).run(rounds)
        case "filter": try Filters.run(lines: arguments?.number("lines", 1_000_000) ?? 0, rounds: rounds)
        case "compress": try Compressions.run(rounds)
        case "reopen":
            let reopening = Reopening(directory: "\(directory)/spool", bytes: bytes(10 << 10))
            defer { reopening.remove() }
            try reopening.run(rounds: rounds)
        default:
            complain("usage: stage-load stages|spool|filter|compress|reopen|names|pass [--rounds N] [--directory DIR]")
            exit(2)
        }
    }

    /// - Parameter words: which stage, and how often.
    private static func pass(_ words: [String], _ directory: String) throws {
        guard words.count > 1, let count = Int(words[1]),
            let kind = StageKind.all.first(where: { $0.name == words[0] })
        else { throw Failure("pass which stage how often? `stage-load names` lists them") }
        let stage = try kind.make(directory)
        for _ in 0..<count { try stage.pass() }
    }

    /// Of a stage that failed, its files too.
    private static func remove(_ directory: String) {
        guard let stream = opendir(directory) else { return }
        defer {
            closedir(stream)
            rmdir(directory)
        }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            unlink("\(directory)/\(name)")
        }
    }
}
