package import NIOCore

/// The frames of the SASL layer (part 5, section 5.3.3).
package enum SASLFrame: Hashable, Sendable, CustomStringConvertible {
    /// Server: what it offers.
    case mechanisms([String])
    /// Client: its choice.
    case initial(mechanism: String, response: ByteBuffer?, hostname: String?)
    case challenge(ByteBuffer)
    case response(ByteBuffer)
    case outcome(SASLCode, additionalData: ByteBuffer?)

    package func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .mechanisms(let names):
            buffer.writeAMQP(descriptor: 0x40)
            var fields = FieldWriter(&buffer)
            fields.next(&buffer)
            buffer.writeAMQP(symbols: names)
            fields.endWithAllFields(&buffer)
        case .initial(let mechanism, let response, let hostname):
            buffer.writeAMQP(descriptor: 0x41)
            var fields = FieldWriter(&buffer)
            fields.symbol(mechanism, &buffer)
            fields.binary(response, &buffer)
            fields.string(hostname, &buffer)
            fields.endWithAllFields(&buffer)
        case .challenge(let bytes), .response(let bytes):
            if case .challenge = self {
                buffer.writeAMQP(descriptor: 0x42)
            } else {
                buffer.writeAMQP(descriptor: 0x43)
            }
            var fields = FieldWriter(&buffer)
            fields.binary(bytes, &buffer)
            fields.endWithAllFields(&buffer)
        case .outcome(let code, let data):
            buffer.writeAMQP(descriptor: 0x44)
            var fields = FieldWriter(&buffer)
            fields.ubyte(code.rawValue, &buffer)
            fields.binary(data, &buffer)
            fields.endWithAllFields(&buffer)
        }
    }

    /// Reads the body of a SASL frame.
    package init(from body: ByteBuffer) throws(AMQPCodecError) {
        var reader = AMQPReader(body)
        guard let descriptor = try reader.descriptor() else {
            throw reader.failure(.unexpectedType, "a value without descriptor where a SASL frame belongs")
        }
        guard let code = descriptor.code, (0x40...0x44).contains(code) else {
            throw reader.failure(.unexpectedType, "descriptor \(descriptor.description) is no SASL frame")
        }
        var fields = try reader.enter()
        switch code {
        case 0x40: self = .mechanisms(try reader.symbols(&fields))
        case 0x41:
            let mechanism = try reader.require(try reader.text(&fields), "sasl-init.mechanism")
            let response = try reader.binary(&fields)
            self = .initial(mechanism: mechanism, response: response, hostname: try reader.text(&fields))
        case 0x42:
            self = .challenge(try reader.require(try reader.binary(&fields), "sasl-challenge.challenge"))
        case 0x43:
            self = .response(try reader.require(try reader.binary(&fields), "sasl-response.response"))
        default:
            let raw = try reader.require(try reader.ubyte(&fields), "sasl-outcome.code")
            guard let outcome = SASLCode(rawValue: raw) else {
                throw reader.failure(.invalidValue, "sasl-outcome.code \(raw); it is 0 to 4")
            }
            self = .outcome(outcome, additionalData: try reader.binary(&fields))
        }
        try reader.leave(fields)
    }

    /// Names the frame; responses may hold passwords and are never shown.
    package var description: String {
        switch self {
        case .mechanisms(let names): "sasl-mechanisms \(names.joined(separator: " "))"
        case .initial(let mechanism, _, let hostname): "sasl-init \(mechanism) \(hostname ?? "")"
        case .challenge(let bytes): "sasl-challenge of \(bytes.readableBytes) bytes"
        case .response(let bytes): "sasl-response of \(bytes.readableBytes) bytes"
        case .outcome(let code, _): "sasl-outcome \(code)"
        }
    }
}

/// How a SASL dialogue ended: section 5.3.3.6.
package enum SASLCode: UInt8, Hashable, Sendable {
    case ok = 0
    /// Wrong or missing credentials.
    case authentication = 1
    case system = 2
    /// A system error that will not go away.
    case systemPermanent = 3
    case systemTemporary = 4
}
