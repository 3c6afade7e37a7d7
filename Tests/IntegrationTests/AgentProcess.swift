import Glibc
import TestSupport

/// The real agent as a child process, with a directory of its own.
final class AgentProcess {
    let directory: TemporaryDirectory
    let configurationPath: String
    private(set) var process: ChildProcess
    private let environment: [String: String]
    private let launcher: [String]

    /// - Parameters:
    ///   - settings: appended to `[input.app]`.
    ///   - spoolSize: of `[spool]`.
    ///   - type: of `[output.hub]`.
    ///   - output: its other keys.
    ///   - agentSettings: appended to `[agent]`.
    ///   - environment: added to this process's own.
    ///   - launcher: a command that becomes the agent.
    init(
        _ directory: TemporaryDirectory, settings: String = "", spoolSize: String = "256MiB",
        type: String = "eventhubs",
        output: String, agentSettings: String = "", environment: [String: String] = [:], launcher: [String] = []
    ) throws {
        self.directory = directory
        self.environment = environment
        self.launcher = launcher
        configurationPath = directory("tailrace.toml")
        mkdir(directory("logs"), 0o755)
        let text = """
            [agent]
            state_directory = "\(directory("state"))"
            host = "test-host"
            \(agentSettings)
            [spool]
            maximum_size = "\(spoolSize)"
            [input.app]
            type = "file"
            include = ["\(directory("logs"))/*.log"]
            \(settings)
            [output.hub]
            type = "\(type)"
            \(output)

            """
        try AgentProcess.write(text, to: configurationPath)
        process = try Self.start(launcher, configurationPath, environment)
    }

    private static func start(
        _ launcher: [String], _ path: String, _ environment: [String: String]
    ) throws -> ChildProcess {
        let words = try launcher + [ChildProcess.built("tailrace"), "run", "--config", path]
        return try ChildProcess(words[0], Array(words.dropFirst()), environment: environment)
    }

    func restart() throws { process = try Self.start(launcher, configurationPath, environment) }

    func stop() -> ChildProcess.Exit {
        process.signal(SIGTERM)
        return process.wait()
    }

    /// Adds `bytes` to a file of the logs directory.
    func log(_ bytes: [UInt8], to name: String = "app.log") throws {
        try Self.write(bytes, to: directory("logs/\(name)"), append: true)
    }

    /// Asks until `isExpected`; the status then. What never comes is ended by the time limit of whoever runs the tests.
    func status(until isExpected: (Status) -> Bool) async throws -> Status {
        while true {
            let asked = try ChildProcess(
                ChildProcess.built("tailrace"), ["status", "--json", "--config", configurationPath])
            if asked.wait() == .code(0) {
                let status = Status(text: asked.output)
                if isExpected(status) { return status }
            }
            // Leaves the thread to other tests.
            try await Task.sleep(for: .milliseconds(30))
        }
    }

    static func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path, append: false) }

    static func write(_ bytes: [UInt8], to path: String, append: Bool) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0o600)
        defer { close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw ChildProcess.Failure("cannot write \(path)") }
            rest = rest.dropFirst(count)
        }
    }

    /// The status as JSON, read by key.
    struct Status: CustomStringConvertible {
        let text: String
        var description: String { text }

        /// The first number with this key, in the part that begins at `section`.
        func number(_ key: String, in section: String) -> Int? {
            guard let start = text.firstRange(of: "\"\(section)\":"),
                let place = text[start.upperBound...].firstRange(of: "\"\(key)\":")
            else { return nil }
            return Int(text[place.upperBound...].prefix { $0.isNumber || $0 == "-" })
        }

        func acknowledged(_ count: Int) -> Bool {
            number("existed", in: "inputs") == count && number("acknowledged", in: "inputs") == count
        }
    }
}
