public import AMQP
internal import FoundationEssentials
public import NIOCore

extension EventData {
    /// The shapes of bodies.
    public enum BodyType: Hashable, Sendable {
        /// Bytes, in one section or several.
        case data
        /// Lists of AMQP values.
        case sequence
        /// One AMQP value.
        case value
        /// None at all, as some peers send.
        case none
    }

    /// Which shape the body has.
    public var bodyType: BodyType {
        guard let rest, rest.hasBody else { return .data }
        return switch rest.message.body {
        case .data: .data
        case .sequence: .sequence
        case .value: .value
        case .none: .none
        }
    }

    /// The body's bytes: those of all data sections, one after the other; of a value body that is binary or a string,
    /// its bytes; empty for any other. Setting it makes the body one data section.
    public var body: ByteBuffer {
        get {
            guard let rest, rest.hasBody else { return data }
            switch rest.message.body {
            case .data(let sections):
                var joined = ByteBuffer()
                for section in sections { joined.writeImmutableBuffer(section) }
                return joined
            case .value(.binary(let bytes)): return bytes
            case .value(.string(let text)): return ByteBuffer(string: text)
            default: return ByteBuffer()
            }
        }
        set {
            data = newValue
            guard let old = rest else { return }
            var message = old.message
            message.body = .none
            rest = message == AMQPMessage() ? nil : Rest(message, hasBody: false)
        }
    }

    /// The body as text; nil when it is a sequence, a value that is neither string nor binary, or not UTF-8.
    public var bodyText: String? {
        switch bodyType {
        case .data: break
        case .value:
            guard case .value(let value)? = rest?.message.body else { return nil }
            switch value {
            case .string(let text): return text
            case .binary: break
            default: return nil
            }
        case .sequence, .none: return nil
        }
        return String(validating: body.readableBytesView, as: UTF8.self)
    }

    /// The body, which is JSON, as a value of `type`.
    ///
    /// - Throws: `EventHubsError` with code `invalidArgument` when the body is no JSON, or none of that shape.
    public func decodeJSON<Value: Decodable>(_ type: Value.Type = Value.self) throws(EventHubsError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
        } catch {
            throw EventHubsError(
                .invalidArgument, "the event's body cannot be read as JSON for \(type): \(Self.text(of: error))")
        }
    }

    /// An event whose body is `value` as JSON, with content type `application/json`.
    ///
    /// - Throws: `EventHubsError` with code `invalidArgument` when JSON has no form for the value.
    public init(json value: some Encodable, properties: AMQPMap = AMQPMap()) throws(EventHubsError) {
        do {
            self.init(try JSONEncoder().encode(value), properties: properties)
        } catch {
            throw EventHubsError(
                .invalidArgument, "\(type(of: value)) cannot be written as JSON: \(Self.text(of: error))")
        }
        contentType = "application/json"
    }

    /// What is wrong and where, without the values themselves.
    private static func text(of error: any Error) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? "" : " at \(path)"
        }
        switch error {
        case DecodingError.keyNotFound(let key, let context): return "\(key.stringValue) is missing\(place(context))"
        case DecodingError.valueNotFound(_, let context): return "null\(place(context)) where a value belongs"
        case DecodingError.typeMismatch(let type, let context): return "no \(type)\(place(context))"
        case DecodingError.dataCorrupted(let context): return "malformed\(place(context))"
        default: return "\(type(of: error))"
        }
    }
}
