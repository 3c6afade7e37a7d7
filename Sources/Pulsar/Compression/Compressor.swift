package import NIOCore
import Synchronization

/// Compresses payloads, and decompresses what it or another client compressed. For any number of threads.
package struct Compressor: Sendable {
    /// Of a payload before compression: what LZ4 takes at most, just below 2 GiB.
    package static let maximumSize = 0x7E00_0000

    package let compression: PulsarCompression
    /// nil for none.
    private let pool: CodecPool?

    /// - Throws: `notSupported` when the library of this compression is not installed.
    package init(_ compression: PulsarCompression) throws(PulsarError) {
        self.compression = compression
        pool = try Self.pool(compression)
    }

    /// Reads all of `input`, and returns what it has become in storage of its own that is no larger than needed;
    /// without compression, the same storage.
    ///
    /// - Throws: `messageTooBig` above `maximumSize`.
    package func compress(_ input: inout ByteBuffer) throws(PulsarError) -> ByteBuffer {
        guard let pool else {
            defer { input.moveReaderIndex(to: input.writerIndex) }
            return input.slice()
        }
        let size = input.readableBytes
        guard size <= Self.maximumSize else {
            throw PulsarError(
                .messageTooBig, "\(size) bytes cannot be compressed in one piece: at most \(Self.maximumSize)")
        }
        let output = pool.withWorker { worker in
            input.readWithUnsafeReadableBytes { bytes -> (Int, ByteBuffer?) in
                let scratch = worker.scratch(worker.codec.bound(bytes.count))
                guard let written = worker.codec.compress(bytes, into: scratch) else { return (0, nil) }
                return (size, ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: scratch[..<written])))
            }
        }
        // Room for the bound and memory were given: no codec has another reason.
        guard let output else { throw PulsarError(.unknown, "\(compression) could not compress \(size) bytes") }
        return output
    }

    /// - Parameters:
    ///   - size: what the message's metadata says that it was before compression.
    ///   - maximum: a message that says more is not believed; its bytes are a peer's.
    /// - Throws: `invalidMessage` when it is damaged or does not become exactly `size` bytes.
    package func decompress(
        _ input: ByteBuffer, size: Int, maximum: Int = 64 << 20
    ) throws(PulsarError) -> ByteBuffer {
        guard let pool else { return input }
        guard (0...min(maximum, Self.maximumSize)).contains(size), input.readableBytes <= Self.maximumSize else {
            throw PulsarError(.invalidMessage, "a payload of \(size) bytes before compression: at most \(maximum)")
        }
        var output = ByteBufferAllocator().buffer(capacity: size)
        let isWhole = pool.withWorker { worker in
            var isWhole = false
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { room in
                isWhole = input.withUnsafeReadableBytes {
                    worker.codec.decompress($0, into: UnsafeMutableRawBufferPointer(rebasing: room[..<size]))
                }
                return isWhole ? size : 0
            }
            return isWhole
        }
        guard isWhole else {
            throw PulsarError(.invalidMessage, "a payload is damaged, or not \(compression) of \(size) bytes")
        }
        return output
    }

    // MARK: Pools, one for each algorithm in the process

    private static let pools = Mutex<[PulsarCompression: CodecPool]>([:])

    /// A library that is missing is looked for again the next time.
    private static func pool(_ compression: PulsarCompression) throws(PulsarError) -> CodecPool? {
        if let pool = pools.withLock({ $0[compression] }) { return pool }
        let new: CodecPool
        switch compression {
        case .none: return nil
        case .zlib: new = CodecPool { ZlibCodec() }
        case .lz4:
            let library = try LZ4Codec.Library()
            new = CodecPool { LZ4Codec(library) }
        case .zstd:
            let library = try ZstdCodec.Library()
            new = CodecPool { ZstdCodec(library) }
        case .snappy:
            let library = try SnappyCodec.Library()
            new = CodecPool { SnappyCodec(library) }
        }
        return pools.withLock { pools in
            if let first = pools[compression] { return first }
            pools[compression] = new
            return new
        }
    }
}
