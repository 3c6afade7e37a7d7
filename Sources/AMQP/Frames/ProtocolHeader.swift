package import NIOCore

/// The eight bytes that announce a protocol layer: `AMQP`, protocol id, version 1.0.0.
package struct ProtocolHeader: Hashable, Sendable, CustomStringConvertible {
    package var id: UInt8
    package var major: UInt8 = 1
    package var minor: UInt8 = 0
    package var revision: UInt8 = 0

    package init(id: UInt8, major: UInt8 = 1, minor: UInt8 = 0, revision: UInt8 = 0) {
        self.id = id
        self.major = major
        self.minor = minor
        self.revision = revision
    }

    package static let amqp = ProtocolHeader(id: 0)
    package static let tls = ProtocolHeader(id: 2)
    package static let sasl = ProtocolHeader(id: 3)

    package func encode(into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(0x414D_5150 as UInt32, id, major, minor, revision)
    }

    package var description: String { "AMQP \(id) \(major).\(minor).\(revision)" }
}
