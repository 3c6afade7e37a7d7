import CZlib
import Glibc

/// Undoes the compression of a file in the gzip format, from its beginning on, member after member.
final class GzipStream {
    enum Outcome: Equatable {
        /// So many bytes were made; there may be more.
        case bytes(Int)
        /// The file ends before the archive does: somebody may still be writing it.
        case waiting
        /// The archive has ended, whole.
        case finished
        case damaged(String)
    }

    private let stream: UnsafeMutablePointer<z_stream>
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private let descriptor: Int32
    private var offset: off_t = 0
    /// Between two members, or behind the last.
    private var isBetween = false

    /// - Parameter descriptor: stays the caller's, who keeps it open for as long as this object lives.
    init(descriptor: Int32) {
        self.descriptor = descriptor
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 32 added to the largest window: the format is told by its header.
        let result = inflateInit2_(stream, 15 + 32, zlibVersion(), Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib cannot begin: \(result)")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    /// Fills `output` as far as the file goes.
    func read(into output: UnsafeMutableRawBufferPointer) -> Outcome {
        guard let base = output.baseAddress, !output.isEmpty else { return .bytes(0) }
        stream.pointee.next_out = base.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = UInt32(clamping: output.count)
        let room = Int(stream.pointee.avail_out)
        func made() -> Int { room - Int(stream.pointee.avail_out) }
        while stream.pointee.avail_out > 0 {
            if stream.pointee.avail_in == 0 {
                let count = readFully(descriptor, into: input, count: input.count, offset: UInt64(offset))
                if count < 0 { return .damaged(describeErrno(errno)) }
                if count == 0 {
                    if made() > 0 { break }
                    return isBetween ? .finished : .waiting
                }
                offset += off_t(count)
                stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: Bytef.self)
                stream.pointee.avail_in = UInt32(count)
            }
            if isBetween {
                // What follows a member and is none itself (padding) is passed over, as gzip does.
                guard stream.pointee.next_in.pointee == 0x1F else {
                    stream.pointee.avail_in = 0
                    continue
                }
                guard inflateReset(stream) == Z_OK else { return .damaged("zlib cannot begin anew") }
                isBetween = false
            }
            switch inflate(stream, Z_NO_FLUSH) {
            case Z_OK, Z_BUF_ERROR: break
            case Z_STREAM_END: isBetween = true
            default:
                if made() > 0 { return .bytes(made()) }
                return .damaged(stream.pointee.msg.map { String(cString: $0) } ?? "no gzip archive")
            }
        }
        return .bytes(made())
    }
}
