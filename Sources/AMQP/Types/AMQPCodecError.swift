/// Bytes that are not what AMQP 1.0 says they should be: what was wrong, and at which byte.
public struct AMQPCodecError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of mistakes, for code that must tell them apart.
    public enum Kind: Hashable, Sendable {
        /// The bytes end, or a stated length points, beyond the end of what encloses them.
        case truncated
        /// A constructor byte that part 1 of the specification does not define.
        case unknownConstructor
        /// A well formed value of a type that has no place here.
        case unexpectedType
        /// A value outside its range: an invalid boolean, character, UTF-8 text, count or enumeration.
        case invalidValue
        /// A field that must be present is missing.
        case missingField
        /// More nesting, elements or bytes than the limits allow.
        case limitExceeded
        /// A frame header or protocol header that is not one.
        case malformedFrame
    }

    public var kind: Kind
    /// What is wrong, in words.
    public var message: String
    /// Bytes from the start of the value, section or frame that was being decoded.
    public var offset: Int

    public init(_ kind: Kind, _ message: String, at offset: Int) {
        self.kind = kind
        self.message = message
        self.offset = offset
    }

    public var description: String { "\(message) (byte \(offset))" }
}
