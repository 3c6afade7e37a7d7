import Glibc
import LocalHub
import TestSupport
import Testing

/// Runs the scripts in `Python/` with the official client.
struct Python {
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    struct Received: Equatable {
        var partition: Int
        var sequence: Int
        var offset: String
        var key: String?
        var time: Int
        var body: [UInt8]
    }

    struct Run {
        var exit: ChildProcess.Exit
        var output: String
        var errorOutput: String
    }

    let interpreter: String
    let scripts: String
    let directory = TemporaryDirectory("python")

    /// `TAILRACE_PYTHON`, or the interpreter of the virtual environment that `make test` makes.
    ///
    /// - Parameter environment: another than the usual one is only found where `make test` puts it.
    init(environment: String = "venv", file: String = #filePath) throws {
        var parts = file.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        scripts = parts.joined(separator: "/") + "/Python"
        parts = parts.dropLast(2)
        let override = environment == "venv" ? getenv("TAILRACE_PYTHON").map { String(cString: $0) } : nil
        interpreter = override ?? parts.joined(separator: "/") + "/.build/\(environment)/bin/python"
        guard access(interpreter, X_OK) == 0 else {
            throw Missing(
                description: "no Python with azure-eventhub at \(interpreter): run `make test`, which installs it")
        }
    }

    func run(
        _ script: String, _ arguments: [String], _ hub: LocalHub, connectionString: String? = nil
    ) async throws -> Run {
        var all = ["\(scripts)/\(script)", "--connection-string", connectionString ?? hub.connectionString]
        if let authority = hub.authorityFile {
            all += ["--ca", authority, "--endpoint", "sb://127.0.0.1:\(hub.port)"]
        }
        return try await run(all + arguments)
    }

    /// Without a hub.
    func runAlone(_ script: String, _ arguments: [String], _ environment: [String: String] = [:]) async throws -> Run {
        try await run(["\(scripts)/\(script)"] + arguments, environment)
    }

    private func run(_ arguments: [String], _ environment: [String: String] = [:]) async throws -> Run {
        let variables = environment.merging(["PYTHONDONTWRITEBYTECODE": "1"]) { $1 }
        let child = try ChildProcess(interpreter, arguments, environment: variables)
        // Off the pool: waiting blocks.
        let exit = await withCheckedContinuation { continuation in
            let thread = Waiter { continuation.resume(returning: child.wait()) }
            thread.start()
        }
        return Run(exit: exit, output: child.output, errorOutput: child.errorOutput)
    }

    /// The input file of produce.py.
    func input(_ events: [OfficialClientTests.Sent]) throws -> String {
        var text = ""
        for event in events {
            text += "{\"body\": \"\(base64(event.body))\""
            if let key = event.key { text += ", \"key\": \"\(key)\"" }
            text += "}\n"
        }
        let path = directory("input.json")
        let file = fopen(path, "w")
        defer { if let file { fclose(file) } }
        guard let file, fputs(text, file) >= 0 else { throw Missing(description: "cannot write \(path)") }
        return path
    }

    func produce(
        _ events: [OfficialClientTests.Sent], to hub: LocalHub, mode: OfficialClientTests.Mode, partition: Int? = nil,
        arguments more: [String] = []
    ) async throws {
        var arguments = ["--mode", mode.rawValue, "--input", try input(events)] + more
        if let partition { arguments += ["--partition-id", String(partition)] }
        let run = try await run("produce.py", arguments, hub)
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
    }

    /// Partition by partition, in the order of each.
    func consume(from hub: LocalHub, count: Int, _ arguments: [String] = []) async throws -> [Received] {
        let path = directory("received.json")
        let run = try await run("consume.py", ["--count", String(count), "--output", path] + arguments, hub)
        #expect(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
        let received = ChildProcess.text(path).split(separator: "\n").compactMap { Self.parse($0) }
        return received.enumerated().sorted { ($0.element.partition, $0.offset) < ($1.element.partition, $1.offset) }
            .map(\.element)
    }

    private static func parse(_ line: Substring) -> Received? {
        guard let partition = field("partition", line).flatMap({ Int($0) }),
            let sequence = field("sequence", line).flatMap({ Int($0) }), let offset = field("offset", line),
            let time = field("time", line).flatMap({ Int($0) }), let body = field("body", line)
        else { return nil }
        let key = field("key", line)
        return Received(
            partition: partition, sequence: sequence, offset: offset, key: key == "null" ? nil : key, time: time,
            body: decode(body))
    }

    /// Values in these lines are numbers, null or strings without escapes.
    private static func field(_ name: String, _ line: Substring) -> String? {
        let needle = Array("\"\(name)\": ".utf8)
        let bytes = Array(line.utf8)
        guard bytes.count >= needle.count else { return nil }
        for start in 0...(bytes.count - needle.count) where bytes[start] == needle[0] {
            guard bytes[start..<(start + needle.count)].elementsEqual(needle) else { continue }
            var rest = bytes[(start + needle.count)...]
            if rest.first == UInt8(ascii: "\"") {
                rest = rest.dropFirst().prefix { $0 != UInt8(ascii: "\"") }
            } else {
                rest = rest.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "}") }
            }
            return String(decoding: rest, as: UTF8.self)
        }
        return nil
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let value = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for i in 0..<4 {
                text.append(i <= group.count ? Self.alphabet[value >> (18 - 6 * i) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func decode(_ text: String) -> [UInt8] {
        var values = [UInt8](repeating: 0, count: 256)
        for (index, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(index) }
        var bytes: [UInt8] = []
        var value = 0
        var bits = 0
        for letter in text.utf8 where letter != UInt8(ascii: "=") {
            value = (value << 6 | Int(values[Int(letter)])) & 0xFFFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: value >> bits))
            }
        }
        return bytes
    }
}

/// A thread of its own for something that blocks.
private final class Waiter: @unchecked Sendable {
    private let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    func start() {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(self)
        pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Waiter>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        pthread_detach(thread)
    }
}
