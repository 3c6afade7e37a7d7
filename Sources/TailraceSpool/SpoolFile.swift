import CTailrace
import Glibc

// Every file-system call of the spool is made in this file, so that faults can be injected in one place and the
// handling of EINTR and short counts exists once.

package enum SpoolFileOperation: String, Sendable, CaseIterable {
    case open, create, read, write, sync, truncate, preallocate, link, unlink, rename, list, syncDirectory,
        makeDirectory, lock
}

/// Asked before each call: 0 lets it through, any other value makes the call fail with that errno.
package typealias SpoolFault = @Sendable (SpoolFileOperation, _ path: String) -> CInt

package struct SpoolFileError: Error, Equatable, Sendable, CustomStringConvertible {
    package let operation: SpoolFileOperation
    package let path: String
    /// The errno.
    package let code: CInt

    package var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }
    package var isMissing: Bool { code == ENOENT }

    package var description: String { "\(operation.rawValue) \(path): \(String(cString: strerror(code)))" }
}

/// An open file; closed with the last reference. pread and pwrite only: a file cut under us is an error, not a signal.
package final class SpoolFile: Sendable {
    /// What one pwritev takes (IOV_MAX).
    package static let maximumVectors = 1024
    /// Unit in which a failing disk is probed for what can still be read.
    static let probeSize = 4096

    package let path: String
    let descriptor: CInt
    let fault: SpoolFault?

    private init(path: String, descriptor: CInt, fault: SpoolFault?) {
        self.path = path
        self.descriptor = descriptor
        self.fault = fault
    }

    deinit { close(descriptor) }

    package enum Mode { case read, readWrite, createNew, createOrOpen }

    package static func open(
        _ path: String, _ mode: Mode, fault: SpoolFault?
    ) throws(SpoolFileError) -> SpoolFile {
        let flags: CInt
        let operation: SpoolFileOperation
        switch mode {
        case .read: (flags, operation) = (O_RDONLY, .open)
        case .readWrite: (flags, operation) = (O_RDWR, .open)
        case .createNew: (flags, operation) = (O_RDWR | O_CREAT | O_EXCL, .create)
        case .createOrOpen: (flags, operation) = (O_RDWR | O_CREAT, .create)
        }
        let descriptor = try call(operation, path, fault) { Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o600) }
        return SpoolFile(path: path, descriptor: descriptor, fault: fault)
    }

    /// Bytes in the file.
    package func size() throws(SpoolFileError) -> Int {
        var status = stat()
        _ = try Self.call(.open, path, fault) { fstat(descriptor, &status) }
        return Int(status.st_size)
    }

    /// Reads until `bytes` is full or the file ends; returns how many were read.
    package func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(SpoolFileError) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var done = 0
        while done < bytes.count {
            let from = done
            let count = try Self.call(.read, path, fault) {
                pread(descriptor, base + from, bytes.count - from, off_t(offset + from))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// As `read(into:at:)`, but what the disk cannot deliver (EIO) becomes zeros, `probeSize` bytes at a time: damage
    /// stays local.
    package func readAround(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(SpoolFileError) -> Int {
        do throws(SpoolFileError) {
            return try read(into: bytes, at: offset)
        } catch {
            guard error.code == EIO else { throw error }
        }
        let available = max(0, min(bytes.count, try size() - offset))
        var done = 0
        while done < available {
            let piece = UnsafeMutableRawBufferPointer(rebasing: bytes[done..<min(available, done + Self.probeSize)])
            do throws(SpoolFileError) {
                let count = try read(into: piece, at: offset + done)
                if count < piece.count { return done + count }
            } catch {
                guard error.code == EIO else { throw error }
                piece.initializeMemory(as: UInt8.self, repeating: 0)
            }
            done += piece.count
        }
        return done
    }

    /// Writes all of `vectors`, which it uses up.
    package func write(
        _ vectors: UnsafeMutableBufferPointer<iovec>, at offset: Int
    ) throws(SpoolFileError) {
        var offset = offset
        var first = 0
        while first < vectors.count {
            let start = vectors.baseAddress! + first
            let count = CInt(min(vectors.count - first, Self.maximumVectors))
            let at = off_t(offset)
            var written = try Self.call(.write, path, fault) { pwritev(descriptor, start, count, at) }
            offset += written
            while first < vectors.count, written >= vectors[first].iov_len {
                written -= vectors[first].iov_len
                first += 1
            }
            if written > 0 {
                vectors[first].iov_base += written
                vectors[first].iov_len -= written
            }
        }
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SpoolFileError) {
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let from = done
            done += try Self.call(.write, path, fault) {
                pwrite(descriptor, base + from, bytes.count - from, off_t(offset + from))
            }
        }
    }

    package func write(_ bytes: [UInt8], at offset: Int) throws(SpoolFileError) {
        try bytes.withUnsafeBufferPointer { bytes throws(SpoolFileError) in
            try write(UnsafeRawBufferPointer(bytes), at: offset)
        }
    }

    /// Up to `count` bytes from `offset`; what the disk cannot deliver reads as zeros.
    package func read(_ count: Int, at offset: Int) throws(SpoolFileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let done = try bytes.withUnsafeMutableBufferPointer { bytes throws(SpoolFileError) in
            try readAround(into: UnsafeMutableRawBufferPointer(bytes), at: offset)
        }
        bytes.removeSubrange(done...)
        return bytes
    }

    package func sync() throws(SpoolFileError) {
        _ = try Self.call(.sync, path, fault) { fdatasync(descriptor) }
    }

    package func truncate(to size: Int) throws(SpoolFileError) {
        _ = try Self.call(.truncate, path, fault) { ftruncate(descriptor, off_t(size)) }
    }

    /// Reserves `size` bytes, so that "no space" is heard here and not in the middle of a frame. Where the file system
    /// cannot reserve, the file only gets its length.
    package func preallocate(_ size: Int) throws(SpoolFileError) {
        do throws(SpoolFileError) {
            _ = try Self.call(.preallocate, path, fault) { tailrace_fallocate(descriptor, 0, Int64(size)) }
        } catch {
            guard error.code == EOPNOTSUPP || error.code == ENOSYS else { throw error }
            try truncate(to: size)
        }
    }

    /// Takes the advisory lock for the life of this file; false when another process or opening has it.
    package func tryLock() throws(SpoolFileError) -> Bool {
        do throws(SpoolFileError) {
            _ = try Self.call(.lock, path, fault) { flock(descriptor, LOCK_EX | LOCK_NB) }
            return true
        } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            return false
        }
    }

    /// Gives the lock back at once. Closing alone would not, as long as a child between fork and exec shares the file.
    package func unlock() { _ = flock(descriptor, LOCK_UN) }

    /// Makes one call, again while it is interrupted.
    fileprivate static func call<T: SignedInteger>(
        _ operation: SpoolFileOperation, _ path: String, _ fault: SpoolFault?, _ body: () -> T
    ) throws(SpoolFileError) -> T {
        while true {
            if let fault {
                let code = fault(operation, path)
                if code != 0 { throw SpoolFileError(operation: operation, path: path, code: code) }
            }
            let result = body()
            if result >= 0 { return result }
            let code = errno
            if code != EINTR { throw SpoolFileError(operation: operation, path: path, code: code) }
        }
    }
}

/// The directory's own calls.
package struct SpoolDirectory: Sendable {
    package let path: String
    let fault: SpoolFault?

    package init(path: String, fault: SpoolFault? = nil) {
        self.path = path
        self.fault = fault
    }

    package func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes the directory if it is missing; its parent must exist.
    package func create() throws(SpoolFileError) {
        do throws(SpoolFileError) {
            _ = try SpoolFile.call(.makeDirectory, path, fault) { mkdir(path, 0o700) }
        } catch {
            guard error.code == EEXIST else { throw error }
            return
        }
        try Self(path: "\(path)/..", fault: fault).sync()
    }

    package func open(_ name: String, _ mode: SpoolFile.Mode) throws(SpoolFileError) -> SpoolFile {
        try SpoolFile.open(self(name), mode, fault: fault)
    }

    /// Gives the file a second name; fails if that name exists, so nothing is ever overwritten.
    package func link(_ name: String, as other: String) throws(SpoolFileError) {
        _ = try SpoolFile.call(.link, self(other), fault) { Glibc.link(self(name), self(other)) }
    }

    package func unlink(_ name: String) throws(SpoolFileError) {
        _ = try SpoolFile.call(.unlink, self(name), fault) { Glibc.unlink(self(name)) }
    }

    /// Puts the file in the place of `other`, in one step.
    package func rename(_ name: String, to other: String) throws(SpoolFileError) {
        _ = try SpoolFile.call(.rename, self(other), fault) { Glibc.rename(self(name), self(other)) }
    }

    /// Makes creations, links, unlinks and renames durable.
    package func sync() throws(SpoolFileError) {
        let descriptor = try SpoolFile.call(.open, path, fault) {
            Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { close(descriptor) }
        _ = try SpoolFile.call(.syncDirectory, path, fault) { fsync(descriptor) }
    }

    /// The names in the directory, in no order, without "." and "..".
    package func names() throws(SpoolFileError) -> [String] {
        let code = fault?(.list, path) ?? 0
        guard code == 0 else { throw SpoolFileError(operation: .list, path: path, code: code) }
        guard let directory = opendir(path) else {
            throw SpoolFileError(operation: .list, path: path, code: errno)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                let code = errno
                guard code == 0 else { throw SpoolFileError(operation: .list, path: path, code: code) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }
}
