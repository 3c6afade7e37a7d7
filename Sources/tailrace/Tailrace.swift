import ArgumentParser
import Dispatch
import Glibc
import TailraceAgent

/// The command `tailrace`: its subcommands, and how their errors end the process.
///
/// Exit codes: 0 ok, 1 failed, 2 wrong usage, 78 bad configuration. Errors are lines on standard error.
@main
struct Tailrace: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tailrace",
        abstract: "Carries log lines to Azure Event Hubs or Apache Pulsar, by a durable spool that loses nothing.",
        version: Version.text,
        subcommands: [
            Run.self, Check.self, Status.self, Top.self, Explain.self, Positions.self, SpoolCommand.self, Send.self,
            Demo.self, Hub.self,
        ])

    static func main() {
        // Before anything else: anybody on this machine may read a command line.
        ProcessTitle.hide(["--connection-string", "--sas-key"])
        do {
            var command = try parseAsRoot()
            if let command = command as? any AsyncParsableCommand { begin(command) }
            try command.run()
        } catch {
            finish(error)
        }
    }

    /// Not by an asynchronous `main`: that would begin libdispatch for each command, and the agent, which runs for months, is
    /// better off without (`TaskThread`).
    private static func begin(_ command: any AsyncParsableCommand) -> Never {
        nonisolated(unsafe) var command = command
        Task {
            do {
                try await command.run()
            } catch {
                finish(error)
            }
            Glibc.exit(0)
        }
        dispatchMain()
    }

    /// Tells the error and ends the process with its code.
    private static func finish(_ error: any Error) -> Never {
        switch error {
        case let error as ConfigurationError:
            for problem in error.problems { printError("\(problem)") }
            Glibc.exit(78)
        case let error as ExitCode:
            Glibc.exit(error.rawValue)
        case let error as ControlError:
            printError("\(error)")
            Glibc.exit(1)
        default: break
        }
        let code = exitCode(for: error)
        let message = message(for: error)
        if code == .success {
            if !message.isEmpty { print(message) }
            Glibc.exit(0)
        }
        if code == .validationFailure {
            let line = message.split(separator: "\n").first.map(String.init) ?? "wrong usage"
            printError("\(line); see tailrace --help")
            Glibc.exit(2)
        }
        printError(message)
        Glibc.exit(1)
    }

    /// Writes everything to standard output; false when nobody reads it any more.
    @discardableResult
    static func write(_ bytes: [UInt8], endsLine: Bool) -> Bool {
        var rest = (endsLine ? bytes + [UInt8(ascii: "\n")] : bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    @discardableResult
    static func write(_ bytes: [UInt8]) -> Bool { write(bytes, endsLine: false) }

    static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    static func printError(_ text: String) {
        StandardErrorLog.writeToStandardError(Array("tailrace: \(text)\n".utf8))
    }
}
