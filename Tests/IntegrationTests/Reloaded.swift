import Glibc
import TestSupport
import Testing

@testable import TailraceAgent

/// The real agent with a configuration that is written anew while it runs.
final class Reloaded {
    let directory: TemporaryDirectory
    let configurationPath: String
    let process: ChildProcess

    /// - Parameters:
    ///   - agent: lines of `[agent]`.
    ///   - text: everything below.
    init(_ directory: TemporaryDirectory, _ agent: String, _ text: String) throws {
        self.directory = directory
        configurationPath = directory("tailrace.toml")
        try Self.write(configurationPath, Self.text(agent, directory("state"), "test-host", text))
        process = try ChildProcess(ChildProcess.tailrace(), ["run", "--config", configurationPath])
    }

    private static func text(_ agent: String, _ state: String, _ host: String, _ text: String) -> String {
        "[agent]\nstate_directory = \"\(state)\"\nhost = \"\(host)\"\n\(agent)\n\(text)\n"
    }

    /// In one step, so that nobody reads half of it.
    private static func write(_ path: String, _ text: String) throws {
        try AgentProcess.write(text, to: path + ".new")
        rename(path + ".new", path)
    }

    func write(_ text: String, agent: String = "", state: String? = nil, host: String = "test-host") throws {
        try Self.write(configurationPath, Self.text(agent, state ?? directory("state"), host, text))
    }

    var log: String { process.errorOutput }

    func log(_ text: String, to name: String = "logs/app.log") throws {
        try AgentProcess.write(Array(text.utf8), to: directory(name), append: true)
    }

    /// Sends SIGHUP and waits until `counter` of the status has counted it.
    @discardableResult
    func reload(expecting counter: String) async throws -> AgentProcess.Status {
        let before = try await status { _ in true }.number(counter, in: "configuration") ?? 0
        process.signal(SIGHUP)
        return try await status { $0.number(counter, in: "configuration") == before + 1 }
    }

    func status(until isExpected: (AgentProcess.Status) -> Bool) async throws -> AgentProcess.Status {
        while true {
            // Not by the configuration, which may be wrong.
            let found = try? ControlClient.ask(
                ControlRequest.status(isJSON: true).line, path: directory("state/control.sock"))
            if let found {
                let status = AgentProcess.Status(text: String(decoding: found, as: UTF8.self))
                if isExpected(status) { return status }
            }
            guard process.isRunning else { throw ChildProcess.Failure("the agent has ended: \(log)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func expectEnd() {
        process.signal(SIGTERM)
        #expect(process.wait() == .code(0), "\(log)")
        #expect(!log.contains("did not"), "\(log)")
    }
}

extension AgentProcess.Status {
    /// The text of the input or output with this name.
    func part(_ name: String) -> String {
        guard let start = text.firstRange(of: "\"name\":\"\(name)\"") else { return "" }
        let rest = text[start.upperBound...]
        return String(rest[..<(rest.firstRange(of: "\"name\":")?.lowerBound ?? rest.endIndex)])
    }

    /// Of the input or output with this name.
    func number(_ key: String, of name: String) -> Int? {
        let part = part(name)
        guard let place = part.firstRange(of: "\"\(key)\":") else { return nil }
        return Int(part[place.upperBound...].prefix { $0.isNumber || $0 == "-" })
    }

    /// Of all inputs.
    func sum(_ key: String) -> Int {
        guard let start = text.firstRange(of: "\"inputs\":"), let end = text.firstRange(of: "\"outputs\":") else {
            return 0
        }
        return text[start.upperBound..<end.lowerBound].ranges(of: "\"\(key)\":").reduce(0) { sum, place in
            sum + (Int(text[place.upperBound...].prefix { $0.isNumber || $0 == "-" }) ?? 0)
        }
    }

    func expectBalance() {
        for place in text.ranges(of: "\"unexplained\":") {
            let value = text[place.upperBound...].prefix { $0 != "," && $0 != "}" }
            #expect(value == "0", "\(text)")
        }
    }
}
