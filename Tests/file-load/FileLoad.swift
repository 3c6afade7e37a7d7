// How fast files are read and split into lines, and filtered: per core, the median of the rounds with least and most. And how
// long a large spool takes to be opened.
//
//     file-load read --directory DIR [--lines N] [--length 200] [--rounds N]
//     file-load filter [--lines N] [--rounds N]
//     file-load reopen --directory DIR [--mebibytes 10240] [--rounds N]
import Glibc
import LoadSupport

@main
struct FileLoad {
    static func main() {
        do {
            try run()
        } catch {
            complain("file-load: \(error)")
            exit(1)
        }
    }

    private static func run() throws {
        let arguments = Arguments(CommandLine.arguments)
        let rounds = max(1, arguments?.number("rounds", 5) ?? 5)
        switch (arguments?.mode, arguments?.text("directory")) {
        case ("read", let directory?):
            let load = ReadLoad(
                path: "\(directory)/file-load-\(getpid()).log", lines: arguments?.number("lines", 5_000_000) ?? 0,
                length: max(20, arguments?.number("length", 200) ?? 0))
            defer { unlink(load.path) }
            try load.prepare()
            try load.run(rounds: rounds)
        case ("filter", _):
            try FilterLoad.run(lines: arguments?.number("lines", 1_000_000) ?? 0, rounds: rounds)
        case ("reopen", let directory?):
            let load = ReopenLoad(
                directory: "\(directory)/file-load-\(getpid()).spool",
                bytes: max(1, arguments?.number("mebibytes", 10 << 10) ?? 0) << 20)
            defer { load.remove() }
            try load.run(rounds: rounds)
        default:
            complain(
                "usage: file-load read --directory DIR [--lines N] [--length N] [--rounds N], or file-load filter, or "
                    + "file-load reopen --directory DIR [--mebibytes N]")
            exit(2)
        }
    }
}
