import Glibc
import Synchronization

@testable import TailraceSpool

/// Asked before each call: 0 lets it through, any other value makes the call fail with that errno.
typealias SpoolFault = @Sendable (SpoolFileOperation, _ path: String) -> CInt

/// The machine's disk, on which chosen calls fail.
final class FaultyDisk: Disk {
    private let disk = SystemDisk()
    private let fault: SpoolFault
    private let free: (@Sendable () -> UInt64)?
    private let closing: @Sendable (_ path: String) -> Void
    private let paths = Mutex<[CInt: String]>([:])
    private let begun = Mutex(0)
    private let largest = Mutex(0)
    /// Bytes that it was told to begin to write.
    var begunBytes: Int { begun.withLock { $0 } }
    /// Bytes of the largest single read or write so far.
    var largestTransfer: Int { largest.withLock { $0 } }

    init(_ fault: @escaping SpoolFault) {
        self.fault = fault
        free = nil
        closing = { _ in }
    }

    /// - Parameter closing: called before a file is closed.
    init(closing: @escaping @Sendable (_ path: String) -> Void) {
        self.closing = closing
        fault = { _, _ in 0 }
        free = nil
    }

    /// - Parameter free: what the file system, of a GiB, says to have free.
    init(free: @escaping @Sendable () -> UInt64) {
        self.free = free
        fault = { _, _ in 0 }
        closing = { _ in }
    }

    private func call(_ operation: SpoolFileOperation, _ path: String, _ body: () -> Int) -> Int {
        let code = fault(operation, path)
        return code == 0 ? body() : -Int(code)
    }

    private func call(_ operation: SpoolFileOperation, _ file: CInt, _ body: () -> Int) -> Int {
        call(operation, paths.withLock { $0[file] ?? "" }, body)
    }

    func open(_ path: String, _ flags: CInt) -> Int {
        call(flags & O_CREAT == 0 ? .open : .create, path) {
            let file = disk.open(path, flags)
            if file >= 0 { paths.withLock { $0[CInt(file)] = path } }
            return file
        }
    }

    func close(_ file: CInt) {
        closing(paths.withLock { $0[file] ?? "" })
        disk.close(file)
    }
    func size(_ file: CInt) -> Int { call(.open, file) { disk.size(file) } }
    func read(_ file: CInt, into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        note(bytes.count)
        return call(.read, file) { disk.read(file, into: bytes, at: offset) }
    }
    func write(_ file: CInt, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int) -> Int {
        note(vectors.reduce(0) { $0 + $1.iov_len })
        return call(.write, file) { disk.write(file, vectors, at: offset) }
    }
    private func note(_ bytes: Int) { largest.withLock { $0 = max($0, bytes) } }
    func startWriting(_ file: CInt, at offset: Int, count: Int) {
        begun.withLock { $0 += count }
        disk.startWriting(file, at: offset, count: count)
    }
    func syncData(_ file: CInt) -> Int { call(.sync, file) { disk.syncData(file) } }
    func sync(_ file: CInt) -> Int { call(.syncDirectory, file) { disk.sync(file) } }
    func truncate(_ file: CInt, to size: Int) -> Int { call(.truncate, file) { disk.truncate(file, to: size) } }
    func preallocate(_ file: CInt, _ size: Int) -> Int { call(.preallocate, file) { disk.preallocate(file, size) } }
    func lock(_ file: CInt) -> Int { call(.lock, file) { disk.lock(file) } }
    func unlock(_ file: CInt) { disk.unlock(file) }
    func link(_ path: String, as other: String) -> Int { call(.link, other) { disk.link(path, as: other) } }
    func unlink(_ path: String) -> Int { call(.unlink, path) { disk.unlink(path) } }
    func rename(_ path: String, to other: String) -> Int { call(.rename, other) { disk.rename(path, to: other) } }
    func makeDirectory(_ path: String) -> Int { call(.makeDirectory, path) { disk.makeDirectory(path) } }
    func space(_ path: String, into space: inout DiskSpace) -> Int {
        guard let free else { return disk.space(path, into: &space) }
        space = DiskSpace(total: 1 << 30, free: free())
        return 0
    }
    func list(_ path: String, into names: inout [String]) -> Int {
        let code = fault(.list, path)
        return code == 0 ? disk.list(path, into: &names) : -Int(code)
    }
}
