import Glibc

package enum SpoolFileOperation: String, Sendable, CaseIterable {
    case open, create, read, write, sync, truncate, preallocate, link, unlink, rename, list, syncDirectory,
        makeDirectory, lock
}

package struct SpoolFileError: Error, Equatable, Sendable, CustomStringConvertible {
    package let operation: SpoolFileOperation
    package let path: String
    /// The errno.
    package let code: CInt

    package var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }
    package var isMissing: Bool { code == ENOENT }
    package var isForbidden: Bool { code == EACCES || code == EPERM }

    /// What can be done about it, where there is anything.
    package var remedy: String? {
        switch code {
        case ENOSPC: "free some space on its file system"
        case EDQUOT: "free some space, or raise the quota of the agent's user"
        case EROFS: "mount its file system for writing"
        case EACCES, EPERM: "let the agent's user read and write it"
        case EISDIR, ENOTDIR, ELOOP: "something else has its name: move that away"
        case EMFILE, ENFILE: "raise the limit of open files"
        case EIO: "its disk fails: the kernel's log tells more"
        default: nil
        }
    }

    /// What, where, and what to do.
    package var description: String {
        "\(operation.rawValue) \(path): \(String(cString: strerror(code)))" + (remedy.map { "; \($0)" } ?? "")
    }
}

/// An open file; closed with the last reference. pread and pwrite only: a file cut under us is an error, not a signal.
package final class SpoolFile: Sendable {
    /// What one pwritev takes (IOV_MAX).
    package static let maximumVectors = 1024
    /// Unit in which a failing disk is probed for what can still be read.
    static let probeSize = 4096

    package let path: String
    private let descriptor: CInt
    private let disk: any Disk

    deinit { disk.close(descriptor) }

    package enum Mode { case read, readWrite, createNew, createOrOpen }

    package init(_ path: String, _ mode: Mode, on disk: any Disk) throws(SpoolFileError) {
        let flags: CInt
        let operation: SpoolFileOperation
        switch mode {
        case .read: (flags, operation) = (O_RDONLY, .open)
        case .readWrite: (flags, operation) = (O_RDWR, .open)
        case .createNew: (flags, operation) = (O_RDWR | O_CREAT | O_EXCL, .create)
        case .createOrOpen: (flags, operation) = (O_RDWR | O_CREAT, .create)
        }
        descriptor = CInt(try Self.call(operation, path) { disk.open(path, flags | O_NOFOLLOW) })
        self.path = path
        self.disk = disk
    }

    /// Bytes in the file.
    package func size() throws(SpoolFileError) -> Int {
        try Self.call(.open, path) { disk.size(descriptor) }
    }

    /// Reads until `bytes` is full or the file ends; returns how many were read.
    package func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(SpoolFileError) -> Int {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
            let at = offset + done
            let count = try Self.call(.read, path) { disk.read(descriptor, into: rest, at: at) }
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
            let rest = UnsafeBufferPointer(rebasing: vectors[first...].prefix(Self.maximumVectors))
            let at = offset
            var written = try Self.call(.write, path) { disk.write(descriptor, rest, at: at) }
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
        var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: bytes.count)
        try withUnsafeMutablePointer(to: &vector) { vector throws(SpoolFileError) in
            try write(UnsafeMutableBufferPointer(start: vector, count: 1), at: offset)
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

    /// Has the disk begin with bytes that were written, while the next are; `sync` is still to come.
    package func startWriting(at offset: Int, count: Int) { disk.startWriting(descriptor, at: offset, count: count) }

    package func sync() throws(SpoolFileError) {
        _ = try Self.call(.sync, path) { disk.syncData(descriptor) }
    }

    package func truncate(to size: Int) throws(SpoolFileError) {
        _ = try Self.call(.truncate, path) { disk.truncate(descriptor, to: size) }
    }

    /// Reserves `size` bytes, so that "no space" is heard here and not in the middle of a frame. Where the file system
    /// cannot reserve, the file only gets its length.
    package func preallocate(_ size: Int) throws(SpoolFileError) {
        do throws(SpoolFileError) {
            _ = try Self.call(.preallocate, path) { disk.preallocate(descriptor, size) }
        } catch {
            guard error.code == EOPNOTSUPP || error.code == ENOSYS else { throw error }
            try truncate(to: size)
        }
    }

    /// Takes the advisory lock for the life of this file; false when another process or opening has it.
    package func tryLock() throws(SpoolFileError) -> Bool {
        do throws(SpoolFileError) {
            _ = try Self.call(.lock, path) { disk.lock(descriptor) }
            return true
        } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            return false
        }
    }

    /// Gives the lock back at once. Closing alone would not, as long as a child between fork and exec shares the file.
    package func unlock() { disk.unlock(descriptor) }

    /// Makes one call, again while it is interrupted.
    static func call(
        _ operation: SpoolFileOperation, _ path: String, _ body: () -> Int
    ) throws(SpoolFileError) -> Int {
        while true {
            let result = body()
            if result >= 0 { return result }
            let code = CInt(-result)
            if code != EINTR { throw SpoolFileError(operation: operation, path: path, code: code) }
        }
    }
}
