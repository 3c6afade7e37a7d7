package import NIOCore

/// What stands behind the command in a SEND or MESSAGE.
///
/// On the wire: optionally `0e 02`, the length of `BrokerEntryMetadata` and that; optionally `0e 01` and the CRC-32C of
/// all that follows; the length of `MessageMetadata` and that; the rest is the payload.
package struct FramePayload: Equatable, Sendable {
    package enum Checksum: Hashable, Sendable {
        /// The sender left it out.
        case absent
        case valid
        /// Metadata and payload are not what the sender computed it from: nothing in them is to be believed.
        case mismatch
    }

    static let brokerEntryMagic: UInt16 = 0x0E02
    static let checksumMagic: UInt16 = 0x0E01

    package var brokerEntry: BrokerEntryMetadata?
    package var checksum: Checksum
    /// A `MessageMetadata`, not decoded: who passes a message on need not know what it says.
    package var encodedMetadata: ByteBuffer
    /// As sent: compressed, encrypted, a batch or one message.
    package var payload: ByteBuffer

    package init(
        encodedMetadata: ByteBuffer, payload: ByteBuffer, checksum: Checksum = .valid,
        brokerEntry: BrokerEntryMetadata? = nil
    ) {
        self.encodedMetadata = encodedMetadata
        self.payload = payload
        self.checksum = checksum
        self.brokerEntry = brokerEntry
    }

    package init(
        metadata: MessageMetadata, payload: ByteBuffer, checksum: Checksum = .valid,
        brokerEntry: BrokerEntryMetadata? = nil
    ) {
        var encoded = ByteBuffer()
        metadata.encode(to: &encoded)
        self.init(encodedMetadata: encoded, payload: payload, checksum: checksum, brokerEntry: brokerEntry)
    }

    package func metadata() throws(WireError) -> MessageMetadata { try MessageMetadata(encodedMetadata) }

    /// - Parameter bytes: a frame behind its command.
    init(_ bytes: ByteBuffer) throws(WireError) {
        var bytes = bytes
        var brokerEntry: BrokerEntryMetadata?
        if bytes.starts(with: Self.brokerEntryMagic) {
            bytes.moveReaderIndex(forwardBy: 2)
            brokerEntry = try BrokerEntryMetadata(try Self.sized(&bytes, "broker entry metadata"))
        }
        var checksum = Checksum.absent
        if bytes.starts(with: Self.checksumMagic) {
            bytes.moveReaderIndex(forwardBy: 2)
            guard let stated: UInt32 = bytes.readInteger() else {
                throw WireError(.truncated, "a frame ends inside its checksum")
            }
            var computed = CRC32C()
            computed.update(bytes)
            checksum = computed.value == stated ? .valid : .mismatch
        }
        let metadata = try Self.sized(&bytes, "message metadata")
        self.init(encodedMetadata: metadata, payload: bytes, checksum: checksum, brokerEntry: brokerEntry)
    }

    private static func sized(_ bytes: inout ByteBuffer, _ name: StaticString) throws(WireError) -> ByteBuffer {
        guard let length: UInt32 = bytes.readInteger(), let slice = bytes.readSlice(length: Int(length)) else {
            throw WireError(.truncated, "a frame ends inside its \(name)")
        }
        return slice
    }

    var encodedLength: Int {
        (brokerEntry.map { 6 + $0.encodedLength } ?? 0) + (checksum == .absent ? 0 : 6) + 4
            + encodedMetadata.readableBytes + payload.readableBytes
    }

    func encode(into buffer: inout ByteBuffer) {
        if let brokerEntry {
            buffer.writeInteger(Self.brokerEntryMagic)
            buffer.writeInteger(UInt32(brokerEntry.encodedLength))
            brokerEntry.encode(to: &buffer)
        }
        if checksum != .absent {
            var computed = CRC32C()
            computed.update(UInt32(encodedMetadata.readableBytes))
            computed.update(encodedMetadata)
            computed.update(payload)
            buffer.writeInteger(Self.checksumMagic)
            buffer.writeInteger(computed.value)
        }
        buffer.writeInteger(UInt32(encodedMetadata.readableBytes))
        buffer.writeImmutableBuffer(encodedMetadata)
        buffer.writeImmutableBuffer(payload)
    }
}

extension ByteBuffer {
    fileprivate func starts(with magic: UInt16) -> Bool { getInteger(at: readerIndex) == magic }
}
