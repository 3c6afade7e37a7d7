import CTailrace
import Glibc

/// The machine's disk.
package struct SystemDisk: Disk {
    package init() {}

    package func open(_ path: String, _ flags: CInt) -> Int { result(Glibc.open(path, flags | O_CLOEXEC, 0o600)) }

    package func close(_ file: CInt) { Glibc.close(file) }

    package func size(_ file: CInt) -> Int {
        var status = stat()
        let code = fstat(file, &status)
        return code < 0 ? result(code) : Int(status.st_size)
    }

    package func read(_ file: CInt, into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        result(pread(file, bytes.baseAddress, bytes.count, off_t(offset)))
    }

    package func write(_ file: CInt, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int) -> Int {
        result(pwritev(file, vectors.baseAddress, CInt(vectors.count), off_t(offset)))
    }

    // What goes wrong is fdatasync's to tell: without waiting, this takes no error away from it.
    package func startWriting(_ file: CInt, at offset: Int, count: Int) {
        tailrace_start_writing(file, Int64(offset), Int64(count))
    }

    package func syncData(_ file: CInt) -> Int { result(fdatasync(file)) }

    package func sync(_ file: CInt) -> Int { result(fsync(file)) }

    package func truncate(_ file: CInt, to size: Int) -> Int { result(ftruncate(file, off_t(size))) }

    package func preallocate(_ file: CInt, _ size: Int) -> Int { result(tailrace_allocate(file, Int64(size))) }

    package func lock(_ file: CInt) -> Int { result(flock(file, LOCK_EX | LOCK_NB)) }

    package func unlock(_ file: CInt) { _ = flock(file, LOCK_UN) }

    package func link(_ path: String, as other: String) -> Int { result(Glibc.link(path, other)) }

    package func unlink(_ path: String) -> Int { result(Glibc.unlink(path)) }

    package func rename(_ path: String, to other: String) -> Int { result(Glibc.rename(path, other)) }

    package func makeDirectory(_ path: String) -> Int { result(mkdir(path, 0o700)) }

    package func space(_ path: String, into space: inout DiskSpace) -> Int {
        var status = statvfs()
        let code = statvfs(path, &status)
        guard code >= 0 else { return result(code) }
        let unit = UInt64(status.f_frsize)
        space = DiskSpace(total: UInt64(status.f_blocks) * unit, free: UInt64(status.f_bavail) * unit)
        return 0
    }

    package func list(_ path: String, into names: inout [String]) -> Int {
        guard let directory = opendir(path) else { return -Int(errno) }
        defer { closedir(directory) }
        while true {
            errno = 0
            guard let entry = readdir(directory) else { return -Int(errno) }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    private func result(_ value: some SignedInteger) -> Int { value < 0 ? -Int(errno) : Int(value) }
}
