import Glibc
import Synchronization
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
        process = try ChildProcess(ChildProcess.built("tailrace"), ["run", "--config", configurationPath])
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

/// Sends numbered messages over UDP until it is stopped.
final class Datagrams: Sendable {
    private let isStopping = Atomic<Bool>(false)
    private let sent = Atomic<Int>(0)
    private let thread = Mutex<pthread_t?>(nil)

    init(port: Int) {
        let start = Unmanaged.passRetained(Start(self, port))
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                start.sender.run(start.port)
                return nil
            }, start.toOpaque())
        self.thread.withLock { $0 = thread }
    }

    private final class Start {
        let sender: Datagrams
        let port: Int
        init(_ sender: Datagrams, _ port: Int) {
            self.sender = sender
            self.port = port
        }
    }

    private func run(_ port: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        while !isStopping.load(ordering: .relaxed) {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            let milliseconds = time.tv_sec * 1000 + time.tv_nsec / 1_000_000
            let text = "<13>datagram \(sent.load(ordering: .relaxed)) \(milliseconds)"
            let count = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(descriptor, text, text.utf8.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if count > 0 { sent.wrappingAdd(1, ordering: .relaxed) }
            usleep(500)
        }
    }

    /// How many it has sent.
    func stop() -> Int {
        isStopping.store(true, ordering: .relaxed)
        if let thread = thread.withLock({ $0.take() }) { pthread_join(thread, nil) }
        return sent.load(ordering: .relaxed)
    }
}
