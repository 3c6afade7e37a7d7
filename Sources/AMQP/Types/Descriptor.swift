/// The descriptor of a described value: a number of the specification's domain 0, or anything else.
package struct Descriptor: Hashable, Sendable {
    /// Nil when the descriptor is neither a ulong nor one of the specification's names.
    package let code: UInt64?
    private let other: AMQPValue?

    package init(code: UInt64) {
        self.code = code
        other = nil
    }

    package init(name: String) {
        code = Self.codes[name]
        other = code == nil ? .symbol(name) : nil
    }

    package init(other: AMQPValue) {
        code = nil
        self.other = other
    }

    package var value: AMQPValue {
        if let other { return other }
        return .ulong(code ?? 0)
    }

    package var description: String {
        if let code { return "0x\(String(code, radix: 16))" }
        if case .symbol(let name)? = other { return name }
        return "of a type that is neither ulong nor symbol"
    }

    private static let codes: [String: UInt64] = [
        "amqp:open:list": 0x10, "amqp:begin:list": 0x11, "amqp:attach:list": 0x12, "amqp:flow:list": 0x13,
        "amqp:transfer:list": 0x14, "amqp:disposition:list": 0x15, "amqp:detach:list": 0x16, "amqp:end:list": 0x17,
        "amqp:close:list": 0x18, "amqp:error:list": 0x1D, "amqp:received:list": 0x23, "amqp:accepted:list": 0x24,
        "amqp:rejected:list": 0x25, "amqp:released:list": 0x26, "amqp:modified:list": 0x27, "amqp:source:list": 0x28,
        "amqp:target:list": 0x29, "amqp:coordinator:list": 0x30, "amqp:sasl-mechanisms:list": 0x40,
        "amqp:sasl-init:list": 0x41, "amqp:sasl-challenge:list": 0x42, "amqp:sasl-response:list": 0x43,
        "amqp:sasl-outcome:list": 0x44, "amqp:header:list": 0x70, "amqp:delivery-annotations:map": 0x71,
        "amqp:message-annotations:map": 0x72, "amqp:properties:list": 0x73, "amqp:application-properties:map": 0x74,
        "amqp:data:binary": 0x75, "amqp:amqp-sequence:list": 0x76, "amqp:amqp-value:*": 0x77, "amqp:footer:map": 0x78,
    ]
}
