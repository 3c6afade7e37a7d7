import Glibc
import Synchronization

/// The lock that keeps a second process out. The process id in it is only for the message: a stale one means nothing,
/// because the kernel drops the lock with its process.
final class LockFile: Sendable {
    private let file: Mutex<SpoolFile?>

    private init(_ file: SpoolFile) { self.file = Mutex(file) }

    static func take(in directory: SpoolDirectory) throws(SpoolError) -> LockFile {
        var holder: String?
        do throws(SpoolFileError) {
            let file = try directory.open("lock", .createOrOpen)
            if try file.tryLock() {
                try file.truncate(to: 0)
                try file.write(Array("\(getpid())\n".utf8), at: 0)
                return LockFile(file)
            }
            let digits = try file.read(32, at: 0).prefix { $0 >= 0x30 && $0 <= 0x39 }
            if !digits.isEmpty { holder = String(decoding: digits, as: UTF8.self) }
        } catch {
            throw .file(error)
        }
        throw .locked(directory: directory.path, holder: holder ?? "unknown")
    }

    func release() {
        file.withLock {
            $0?.unlock()
            $0 = nil
        }
    }
}
