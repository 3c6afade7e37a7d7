import ArgumentParser
import Glibc

struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows the whole path on this machine, kills the agent half way, and ends with the balance.",
        discussion: """
            Starts a hub with TLS on a free port of the loopback, writes lines to rotating files, and runs the agent on \
            them. Half way the agent is killed with SIGKILL and started again. In the end every line is read back from \
            the hub's partitions. Exit code 1 when the balance does not close.
            """)

    @Option(help: ArgumentHelp("How long lines are written.", valueName: "n"))
    var seconds = 20

    @Option(help: ArgumentHelp("How many lines all files together get in a second.", valueName: "n"))
    var linesPerSecond = 30_000

    @Option(help: ArgumentHelp("How many files are written.", valueName: "n"))
    var files = 8

    @Option(
        help: ArgumentHelp("Works in this new or empty directory, and leaves everything there.", valueName: "directory")
    )
    var keep: String?

    func validate() throws {
        guard (1...3600).contains(seconds) else { throw ValidationError("--seconds is not between 1 and 3600") }
        guard (1...1_000_000).contains(linesPerSecond) else {
            throw ValidationError("--lines-per-second is not between 1 and 1000000")
        }
        guard (1...500).contains(files) else { throw ValidationError("--files is not between 1 and 500") }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        let directory = try DemoDirectory(keep: keep)
        defer { directory.removeUnlessKept() }
        var plan = LogWriter.Plan(directory: directory("logs"))
        plan.files = files
        plan.linesPerSecond = linesPerSecond
        // Every file is rotated every three seconds or so, whatever the rate.
        plan.rotateBytes = max(16 << 10, linesPerSecond / files * 180 * 3)
        let closes = try DemoRun(directory: directory, plan: plan, seconds: seconds).run()
        if !closes { throw ExitCode(1) }
    }
}
