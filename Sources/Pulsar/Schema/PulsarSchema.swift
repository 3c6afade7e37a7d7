internal import Transports

/// What a producer's payloads are, told to the brokers: they refuse a producer whose schema does not fit the topic's, and
/// consumers know what they read.
///
/// ```swift
/// options.schema = .json(definition: #"{"type":"record","name":"Reading","fields":[{"name":"t","type":"double"}]}"#)
/// ```
///
/// What is sent must be what the schema says: `PulsarMessage(int32:)` and its like make payloads of plain values, a text is
/// a string or JSON, and whoever declares Avro or Protocol Buffers encodes the payloads. Lengths and UTF-8 are checked for
/// each message, the contents of JSON and Avro are not.
public struct PulsarSchema: Sendable, Hashable {
    /// What kind of payload it is.
    public enum Kind: Sendable, Hashable, CaseIterable {
        /// Anything; brokers are told nothing.
        case bytes
        /// UTF-8.
        case string
        /// JSON, with an Avro definition of it.
        case json
        case avro
        case protobuf, protobufNative
        /// One byte, 0 or 1.
        case boolean
        /// Two's complement, the most significant byte first.
        case int8, int16, int32, int64
        /// IEEE 754, the most significant byte first.
        case float, double
    }

    /// Bytes of a definition.
    static let maximumDefinition = 1 << 20

    public let kind: Kind
    /// Brokers keep it; it decides nothing.
    public var name: String
    /// What brokers compare: of JSON and Avro the record, as JSON.
    public var definition: [UInt8]
    /// Brokers keep them beside the definition.
    public var properties: [String: String]

    /// - Parameters:
    ///   - definition: of kinds that describe themselves: nothing.
    ///   - name: nil: the kind's own.
    public init(
        _ kind: Kind, definition: [UInt8] = [], name: String? = nil, properties: [String: String] = [:]
    ) {
        self.kind = kind
        self.name = name ?? kind.name
        // The official Python client, too, writes a definition that is none in this way, and brokers count another as
        // another version.
        self.definition = kind == .string && definition.isEmpty ? Array("null".utf8) : definition
        self.properties = properties
    }

    public static let bytes = PulsarSchema(.bytes)
    public static let string = PulsarSchema(.string)
    public static let boolean = PulsarSchema(.boolean)
    public static let int8 = PulsarSchema(.int8)
    public static let int16 = PulsarSchema(.int16)
    public static let int32 = PulsarSchema(.int32)
    public static let int64 = PulsarSchema(.int64)
    public static let float = PulsarSchema(.float)
    public static let double = PulsarSchema(.double)

    /// - Parameter definition: an Avro record, as JSON.
    public static func json(definition: String) -> PulsarSchema {
        PulsarSchema(.json, definition: Array(definition.utf8))
    }

    /// - Parameter definition: an Avro schema, as JSON.
    public static func avro(definition: String) -> PulsarSchema {
        PulsarSchema(.avro, definition: Array(definition.utf8))
    }

    /// What is wrong with it; nil: nothing.
    var complaint: String? {
        if definition.count > Self.maximumDefinition {
            return "the definition has \(definition.count) bytes: \(Self.maximumDefinition) at most"
        }
        switch kind {
        case .json, .avro:
            guard (try? JSONValue(definition)) != nil else {
                return "the definition of \(kind) is no JSON: an Avro schema is needed"
            }
        case .protobuf, .protobufNative:
            if definition.isEmpty { return "\(kind) has no definition" }
        default: break
        }
        return nil
    }

    /// Nil: brokers are told nothing.
    var wire: Schema? {
        guard kind != .bytes else { return nil }
        return Schema(
            name: name, schemaData: definition, type: kind.wire,
            properties: properties.sorted { $0.key < $1.key }.map { Property(key: $0.key, value: $0.value) })
    }

    /// - Throws: `PulsarError` with code `invalidMessage` when the payload cannot be what the schema says. No value at all
    ///   fits every schema.
    func check(_ message: PulsarMessage) throws(PulsarError) {
        guard !message.isNull else { return }
        if let size = kind.size, message.size != size {
            throw PulsarError(.invalidMessage, "\(message.size) bytes of payload are no \(kind): that has \(size)")
        }
        guard kind == .string || kind == .json, !message.isText else { return }
        throw PulsarError(.invalidMessage, "the payload is no UTF-8, and so no \(kind)")
    }
}

extension PulsarSchema.Kind {
    /// As the official clients call them.
    fileprivate var name: String {
        switch self {
        case .bytes: "BYTES"
        case .string: "STRING"
        case .json: "JSON"
        case .avro: "AVRO"
        case .protobuf: "PROTOBUF"
        case .protobufNative: "PROTOBUF_NATIVE"
        case .boolean: "BOOLEAN"
        case .int8: "INT8"
        case .int16: "INT16"
        case .int32: "INT32"
        case .int64: "INT64"
        case .float: "FLOAT"
        case .double: "DOUBLE"
        }
    }

    fileprivate var wire: SchemaType {
        switch self {
        case .bytes: .none
        case .string: .string
        case .json: .json
        case .avro: .avro
        case .protobuf: .protobuf
        case .protobufNative: .protobufNative
        case .boolean: .bool
        case .int8: .int8
        case .int16: .int16
        case .int32: .int32
        case .int64: .int64
        case .float: .float
        case .double: .double
        }
    }

    /// Bytes of each payload; nil: any number.
    fileprivate var size: Int? {
        switch self {
        case .boolean, .int8: 1
        case .int16: 2
        case .int32, .float: 4
        case .int64, .double: 8
        default: nil
        }
    }
}

extension PulsarMessage {
    /// Whether the payload is UTF-8.
    fileprivate var isText: Bool {
        func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
            do throws(Unicode.UTF8.ValidationError) {
                _ = try UTF8Span(validating: bytes.bindMemory(to: UInt8.self).span)
                return true
            } catch {
                return false
            }
        }
        switch content {
        case .text, .null: return true
        case .bytes(let bytes): return bytes.withUnsafeBytes { isValid($0) }
        case .buffer(let buffer): return buffer.withUnsafeReadableBytes { isValid($0) }
        }
    }
}
