import Glibc

/// The file system as spools and ledgers use it, call by call: the system's own, or one that a test makes up.
///
/// A call returns what the system's does, and instead of -1 the negative errno. It may be interrupted (EINTR) and may do
/// less than it was asked for: `SpoolFile` deals with both, so that a made-up disk meets the code that a real one meets.
package protocol Disk: Sendable {
    /// - Parameter flags: O_CLOEXEC comes on top.
    /// - Returns: a descriptor.
    func open(_ path: String, _ flags: CInt) -> Int
    func close(_ file: CInt)
    /// Bytes in the file.
    func size(_ file: CInt) -> Int
    func read(_ file: CInt, into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Int
    func write(_ file: CInt, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int) -> Int
    /// A hint that nobody waits for: the disk may as well begin with these bytes, which a `syncData` is about to follow.
    func startWriting(_ file: CInt, at offset: Int, count: Int)
    /// The file's bytes, and what of its inode is needed to find them.
    func syncData(_ file: CInt) -> Int
    /// All of the file; of a directory, its entries.
    func sync(_ file: CInt) -> Int
    func truncate(_ file: CInt, to size: Int) -> Int
    func preallocate(_ file: CInt, _ size: Int) -> Int
    /// Takes the advisory lock, without waiting.
    func lock(_ file: CInt) -> Int
    func unlock(_ file: CInt)
    func link(_ path: String, as other: String) -> Int
    func unlink(_ path: String) -> Int
    func rename(_ path: String, to other: String) -> Int
    func makeDirectory(_ path: String) -> Int
    /// Of the file system that `path` is on.
    func space(_ path: String, into space: inout DiskSpace) -> Int
    /// Appends the names in a directory, in no order, without "." and "..".
    func list(_ path: String, into names: inout [String]) -> Int
}
