import Glibc
import Synchronization
import TailraceSpool

/// The machine's disk, which counts what is read of it.
final class CountingDisk: Disk {
    private let disk = SystemDisk()
    private let read = Atomic<Int>(0)

    var bytesRead: Int { read.load(ordering: .relaxed) }

    func open(_ path: String, _ flags: CInt) -> Int { disk.open(path, flags) }
    func close(_ file: CInt) { disk.close(file) }
    func size(_ file: CInt) -> Int { disk.size(file) }
    func read(_ file: CInt, into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = disk.read(file, into: bytes, at: offset)
        read.add(max(0, count), ordering: .relaxed)
        return count
    }
    func write(_ file: CInt, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int) -> Int {
        disk.write(file, vectors, at: offset)
    }
    func startWriting(_ file: CInt, at offset: Int, count: Int) { disk.startWriting(file, at: offset, count: count) }
    func syncData(_ file: CInt) -> Int { disk.syncData(file) }
    func sync(_ file: CInt) -> Int { disk.sync(file) }
    func truncate(_ file: CInt, to size: Int) -> Int { disk.truncate(file, to: size) }
    func preallocate(_ file: CInt, _ size: Int) -> Int { disk.preallocate(file, size) }
    func lock(_ file: CInt) -> Int { disk.lock(file) }
    func unlock(_ file: CInt) { disk.unlock(file) }
    func link(_ path: String, as other: String) -> Int { disk.link(path, as: other) }
    func unlink(_ path: String) -> Int { disk.unlink(path) }
    func rename(_ path: String, to other: String) -> Int { disk.rename(path, to: other) }
    func makeDirectory(_ path: String) -> Int { disk.makeDirectory(path) }
    func space(_ path: String, into space: inout DiskSpace) -> Int { disk.space(path, into: &space) }
    func list(_ path: String, into names: inout [String]) -> Int { disk.list(path, into: &names) }
}
