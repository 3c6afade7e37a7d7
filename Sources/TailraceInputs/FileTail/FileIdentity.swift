import CTailrace
import Glibc

/// What makes a file this file for as long as it exists, whatever its name is.
struct FileIdentity: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
    /// Nanoseconds since 1970; 0 where the file system keeps none.
    var birth: Int64

    /// A device number may change at a reboot or remount: these two must agree, and the content decides.
    var withoutDevice: FileIdentity { FileIdentity(device: 0, inode: inode, birth: birth) }
}

/// The part of a file's status that the tailer uses.
struct FileStatus {
    var identity: FileIdentity
    var size: UInt64
    /// Nanoseconds since 1970.
    var modified: Int64
    var mode: UInt32
    var links: UInt32

    var isRegular: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFREG) }
    var isDirectory: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }
    var isLink: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFLNK) }
    /// When the file came to be, as far as that can be told: what orders the generations of one log.
    var age: Int64 { identity.birth != 0 ? identity.birth : modified }

    /// Nil with errno set.
    init?(path: String, follow: Bool = true) {
        var status = tailrace_file_status()
        guard path.withSystemPath({ tailrace_status($0, follow ? 1 : 0, &status) }) == 0 else { return nil }
        self.init(status)
    }

    /// Nil with errno set.
    init?(descriptor: Int32) {
        var status = tailrace_file_status()
        guard tailrace_descriptor_status(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: tailrace_file_status) {
        identity = FileIdentity(device: status.device, inode: status.inode, birth: status.birth)
        size = status.size
        modified = status.modified
        mode = status.mode
        links = status.links
    }
}

/// A hash of a few bytes of a file, and how many: FNV-1a, 64 bits. It tells content apart; it is no defence against
/// somebody who makes collisions.
struct ContentHash: Equatable, Sendable {
    var length: UInt16
    var value: UInt64

    static let empty = ContentHash(of: UnsafeRawBufferPointer(start: nil, count: 0))

    init(length: UInt16, value: UInt64) {
        self.length = length
        self.value = value
    }

    init(of bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= UInt16.max)
        length = UInt16(bytes.count)
        value = 0xCBF2_9CE4_8422_2325
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    }

    /// The hash of `length` bytes of an open file from `offset`; nil when it does not have them.
    init?(of descriptor: Int32, from offset: UInt64, length: Int) {
        let bytes: ContentHash? = withUnsafeTemporaryAllocation(byteCount: max(length, 1), alignment: 1) { buffer in
            guard readFully(descriptor, into: buffer, count: length, offset: offset) == length else { return nil }
            return ContentHash(of: UnsafeRawBufferPointer(rebasing: buffer[..<length]))
        }
        guard let bytes else { return nil }
        self = bytes
    }
}

/// Reads until `count` bytes are there or the file ends. Returns the bytes read, or -1 with errno set.
func readFully(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, count: Int, offset: UInt64) -> Int {
    var done = 0
    while done < count {
        guard let base = buffer.baseAddress, let at = off_t(exactly: offset + UInt64(done)) else { return -1 }
        let result = pread(descriptor, base + done, count - done, at)
        if result == 0 { break }
        if result < 0 {
            if errno == EINTR { continue }
            return -1
        }
        done += result
    }
    return done
}
