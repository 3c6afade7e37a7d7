import Glibc

/// Messages on the way from sockets to the spool, in one piece of memory: each with what is known of its arrival.
///
/// One owner at a time, as a batch.
final class IntakeChunk: @unchecked Sendable {
    /// What lies before a message's bytes. Messages begin at multiples of 8.
    struct Head {
        enum Kind: UInt32 {
            case message
            /// No message: `lost` datagrams that the kernel, or we, had no room for.
            case kernelLoss, memoryLoss
        }

        /// Bytes here, and bytes that there were.
        var length: UInt32
        var originalLength: UInt32
        /// Milliseconds since 1970.
        var time: Int64
        var peer: PeerAddress
        /// Index in the input's listeners.
        var listener: UInt32
        var kind = Kind.message
        var isUnterminated = false
        var lost: UInt64 = 0
    }

    static let headSize = (MemoryLayout<Head>.size + 7) & ~7

    let capacity: Int
    private let memory: UnsafeMutableRawPointer
    private(set) var length = 0
    private(set) var count = 0
    /// When the first message came: nanoseconds of the monotonic clock.
    var since: UInt64 = 0

    init(capacity: Int) {
        self.capacity = capacity
        memory = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { memory.deallocate() }

    /// Whether a message of `length` bytes fits.
    func hasRoom(_ length: Int) -> Bool { self.length + Self.headSize + length + 8 <= capacity }

    /// Copies a message in; there must be room.
    func append(_ head: Head, _ bytes: UnsafeRawPointer?) {
        precondition(hasRoom(Int(head.length)))
        let at = memory + length
        at.storeBytes(of: head, as: Head.self)
        if let bytes { (at + Self.headSize).copyMemory(from: bytes, byteCount: Int(head.length)) }
        length += (Self.headSize + Int(head.length) + 7) & ~7
        count += 1
    }

    /// The message at `offset`, and the offset of the next one.
    func message(at offset: Int) -> (head: Head, bytes: UnsafeRawBufferPointer, next: Int) {
        let head = (memory + offset).load(as: Head.self)
        let bytes = UnsafeRawBufferPointer(start: memory + offset + Self.headSize, count: Int(head.length))
        return (head, bytes, offset + (Self.headSize + Int(head.length) + 7) & ~7)
    }

    func removeAll() {
        length = 0
        count = 0
        since = 0
    }
}
