import LocalHub
import TestSupport
import Testing

/// The official clients of Event Hubs, at a local hub.
extension Python {
    struct Received: Equatable {
        var partition: Int
        var sequence: Int
        var offset: String
        var key: String?
        var time: Int
        var body: [UInt8]
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

    /// The input file of produce.py.
    func input(_ events: [OfficialClientTests.Sent]) throws -> String {
        var text = ""
        for event in events {
            text += "{\"body\": \"\(Self.base64(event.body))\""
            if let key = event.key { text += ", \"key\": \"\(key)\"" }
            text += "}\n"
        }
        return try directory.write(text, to: "input.json")
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
}
