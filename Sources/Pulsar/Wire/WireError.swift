/// Bytes that are not what the Pulsar protocol says they should be.
package struct WireError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: Hashable, Sendable {
        /// A value, or a stated length, goes beyond the end of what encloses it.
        case truncated
        /// A varint of more than ten bytes, a field number of 0, a wire type that proto2 does not have or that we refuse.
        case malformedField
        /// A required field is not there.
        case missingField
        /// More nesting or bytes than the limits allow.
        case limitExceeded
        /// Sizes in a frame that contradict each other, or a payload that is not there.
        case malformedFrame
    }

    package var kind: Kind
    /// What is wrong, in words, without any byte of the peer's.
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { message }
}
