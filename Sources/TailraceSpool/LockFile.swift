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
                try note(getpid(), in: file)
                return LockFile(file)
            }
            let digits = try file.read(32, at: 0).prefix { $0 >= 0x30 && $0 <= 0x39 }
            if !digits.isEmpty { holder = String(decoding: digits, as: UTF8.self) }
        } catch {
            throw .file(error)
        }
        throw .locked(directory: directory.path, holder: holder ?? "unknown")
    }

    /// A disk without space keeps nobody from opening what is there already, and what somebody else put there stays.
    private static func note(_ process: pid_t, in file: SpoolFile) throws(SpoolFileError) {
        let text = Array("\(process)\n".utf8)
        do throws(SpoolFileError) {
            let found = try file.read(32, at: 0)
            guard found.count < 32, found.allSatisfy({ $0 == 0 || $0 == 0x0A || ($0 >= 0x30 && $0 <= 0x39) }) else {
                return
            }
            try file.write(text, at: 0)
            try file.truncate(to: text.count)
        } catch {
            guard error.isNoSpace else { throw error }
        }
    }

    func release() {
        file.withLock {
            $0?.unlock()
            $0 = nil
        }
    }
}
