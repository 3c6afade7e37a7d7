import Glibc
import LoadSupport

/// What the disk gives to a program that does nothing else: blocks of 1 MiB, written one after the other into a preallocated
/// file, each with its fdatasync.
final class PlainBlocks {
    private static let size = 1 << 20

    private let path: String
    private let file: Int32
    private let bytes: Int
    private let memory: UnsafeMutableRawPointer

    init(_ path: String, bytes: Int) throws {
        self.path = path
        self.bytes = bytes
        file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        memory = .allocate(byteCount: Self.size, alignment: 4096)
        memset(memory, 0x61, Self.size)
        guard file >= 0, posix_fallocate(file, 0, off_t(bytes)) == 0 else { throw Failure("no space for \(path)") }
    }

    deinit {
        close(file)
        unlink(path)
        memory.deallocate()
    }

    /// All of them, over those of the time before.
    func write() throws {
        for offset in stride(from: 0, to: bytes, by: Self.size) {
            guard pwrite(file, memory, Self.size, off_t(offset)) == Self.size, fdatasync(file) == 0 else {
                throw Failure("cannot write \(path)")
            }
        }
    }
}
