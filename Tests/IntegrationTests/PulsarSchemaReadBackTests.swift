import TestSupport
import Testing

@testable import Pulsar

/// What our producer declares and encodes, read by the official client with a schema of the same kind.
@Suite struct PulsarSchemaReadBackTests {
    /// The record that `pulsar_consume_typed.py` has as a class.
    private static let reading = """
        {"type": "record", "name": "Reading", "fields": [
         {"name": "name", "type": ["null", "string"]}, {"name": "t", "type": ["null", "double"]}]}
        """

    /// A schema, payloads, and what the official client makes of them, as JSON.
    struct Case: Sendable, CustomTestStringConvertible {
        let kind: String
        let schema: PulsarSchema
        let messages: [PulsarMessage]
        let values: [String]

        var testDescription: String { kind }
    }

    /// Avro: the number of the type in the union, then the value; lengths in zigzag.
    private static func avro(_ name: String, _ t: Double) -> PulsarMessage {
        let bits = withUnsafeBytes(of: t.bitPattern.littleEndian, Array.init)
        return PulsarMessage([2, UInt8(name.utf8.count * 2)] + Array(name.utf8) + [2] + bits)
    }

    static let cases = [
        Case(
            kind: "string", schema: .string, messages: [PulsarMessage("ünï 🦆"), PulsarMessage("")],
            values: [#""\u00fcn\u00ef \ud83e\udd86""#, #""""#]),
        Case(
            kind: "json", schema: .json(definition: reading),
            messages: [PulsarMessage(#"{"name": "a", "t": 1.5}"#), PulsarMessage(#"{"name": "b"}"#)],
            values: [#"{"name": "a", "t": 1.5}"#, #"{"name": "b", "t": null}"#]),
        Case(
            kind: "avro", schema: .avro(definition: reading), messages: [avro("a", 1.5), avro("bc", -2)],
            values: [#"{"name": "a", "t": 1.5}"#, #"{"name": "bc", "t": -2.0}"#]),
        Case(
            kind: "boolean", schema: .boolean, messages: [PulsarMessage(boolean: true), PulsarMessage(boolean: false)],
            values: ["true", "false"]),
        Case(kind: "int8", schema: .int8, messages: [PulsarMessage(int8: -128)], values: ["-128"]),
        Case(kind: "int16", schema: .int16, messages: [PulsarMessage(int16: 12_345)], values: ["12345"]),
        Case(kind: "int32", schema: .int32, messages: [PulsarMessage(int32: -123_456_789)], values: ["-123456789"]),
        Case(
            kind: "int64", schema: .int64, messages: [PulsarMessage(int64: .max)], values: ["9223372036854775807"]),
        Case(kind: "float", schema: .float, messages: [PulsarMessage(float: 0.15625)], values: ["0.15625"]),
        Case(kind: "double", schema: .double, messages: [PulsarMessage(double: -2.5e300)], values: ["-2.5e+300"]),
        Case(kind: "bytes", schema: .bytes, messages: [PulsarMessage("raw")], values: [#""raw""#]),
    ]

    /// In one run of the official client: each is a topic of its own.
    @Test func theOfficialClientReadsEachKindOfValue() async throws {
        let python = try Python()
        let broker = try await PulsarLite(python)
        for batching in [false, true] {
            var words: [String] = []
            for item in Self.cases {
                var options = PulsarProducerOptions.patient(batching: batching)
                options.schema = item.schema
                _ = try await broker.send(item.messages, to: "\(item.kind)-\(batching)", options)
                words.append("\(item.kind)=\(item.kind)-\(batching)")
            }
            let run = try await python.runAlone(
                "pulsar_consume_typed.py", ["--service-url", broker.serviceURL] + words)
            try #require(run.exit == .code(0), "\(run.errorOutput.suffix(3000))")
            let lines = run.output.split(separator: "\n").map(String.init)
            #expect(lines == Self.cases.flatMap { item in item.values.map { "\(item.kind) \($0)" } })
        }
    }
}
