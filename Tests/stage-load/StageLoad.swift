// One stage of the agent's work alone, beside what the machine can do: the median of the rounds with least and most.
//
//     stage-load spool --directory DIR [--mebibytes 1024] [--rounds 5]    appended, with and without fdatasync, and read
//     stage-load encode --directory DIR [--events 1000000] [--rounds 5]   records of the spool into messages
//     stage-load kernels [--rounds 5]                                     checksums and hashes
//     stage-load compress [--rounds 5]                                    what compressing the spool would cost and save
import Glibc
import LoadSupport

@main
struct StageLoad {
    static func main() {
        let arguments = Arguments(CommandLine.arguments)
        let rounds = max(1, arguments?.number("rounds", 5) ?? 5)
        do {
            switch (arguments?.mode, arguments?.text("directory")) {
            case ("spool", let directory?):
                let mebibytes = max(64, arguments?.number("mebibytes", 1024) ?? 0)
                try SpoolStage(directory: "\(directory)/stage-load-\(getpid())", bytes: mebibytes << 20).run(rounds)
            case ("encode", let directory?):
                let events = max(10_000, arguments?.number("events", 1_000_000) ?? 0)
                try EncodingStage(directory: "\(directory)/stage-load-\(getpid())", events: events).run(rounds)
            case ("kernels", _): Kernels.run(rounds)
            case ("compress", _): try CompressionStage.run(rounds)
            default:
                complain(
                    "usage: stage-load spool --directory DIR [--mebibytes N] [--rounds N], or stage-load encode"
                        + " --directory DIR [--events N], or stage-load kernels|compress")
                exit(2)
            }
        } catch {
            complain("stage-load: \(error)")
            exit(1)
        }
    }
}
