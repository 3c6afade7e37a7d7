import CZlib

/// A zlib stream at the default level; both directions keep their state and are reset for each payload.
final class ZlibCodec: Codec, @unchecked Sendable {
    // Behind pointers: zlib's state points back at its stream.
    private let deflating: UnsafeMutablePointer<z_stream>
    private let inflating: UnsafeMutablePointer<z_stream>

    init() {
        deflating = .allocate(capacity: 1)
        inflating = .allocate(capacity: 1)
        deflating.initialize(to: z_stream())
        inflating.initialize(to: z_stream())
        let size = Int32(MemoryLayout<z_stream>.size)
        let results = (
            deflateInit_(deflating, Z_DEFAULT_COMPRESSION, zlibVersion(), size),
            inflateInit_(inflating, zlibVersion(), size)
        )
        // Only without memory, or with another zlib than the one whose header we were built with.
        precondition(results == (Z_OK, Z_OK), "zlib cannot begin: \(results)")
    }

    deinit {
        deflateEnd(deflating)
        inflateEnd(inflating)
        deflating.deallocate()
        inflating.deallocate()
    }

    func bound(_ count: Int) -> Int { Int(deflateBound(deflating, UInt(count))) }

    func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard deflateReset(deflating) == Z_OK else { return nil }
        connect(deflating, input, output)
        guard deflate(deflating, Z_FINISH) == Z_STREAM_END else { return nil }
        return output.count - Int(deflating.pointee.avail_out)
    }

    func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard inflateReset(inflating) == Z_OK else { return false }
        connect(inflating, input, output)
        return inflate(inflating, Z_FINISH) == Z_STREAM_END && inflating.pointee.avail_out == 0
            && inflating.pointee.avail_in == 0
    }

    /// zlib reads only, though its input is not const; it takes no null pointers, not even for nothing.
    private func connect(
        _ stream: UnsafeMutablePointer<z_stream>, _ input: UnsafeRawBufferPointer,
        _ output: UnsafeMutableRawBufferPointer
    ) {
        let nothing = UnsafeMutableRawPointer(stream)
        stream.pointee.next_in = UnsafeMutableRawPointer(mutating: input.baseAddress ?? UnsafeRawPointer(nothing))
            .assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_in = UInt32(input.count)
        stream.pointee.next_out = (output.baseAddress ?? nothing).assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = UInt32(output.count)
    }
}
