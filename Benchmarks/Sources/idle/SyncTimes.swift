import Glibc
import Measuring

/// When the agent made segments of its spool durable, told by a library that is preloaded into it.
struct SyncTimes {
    /// CLOCK_MONOTONIC, in nanoseconds.
    struct Sync {
        var begin: Int64
        var end: Int64
    }

    /// The words to begin the agent's command with.
    let prefix: [String]
    private let path: String

    /// Compiles the library into `directory`.
    init(directory: String) {
        let source = #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/Contestants/sync_times.c"
        let library = "\(directory)/sync_times.so"
        if Child(["cc", "-shared", "-fPIC", "-O2", "-o", library, "/" + source]).wait() != 0 {
            fail("compile sync_times.c", 0)
        }
        path = "\(directory)/sync_times"
        prefix = ["env", "LD_PRELOAD=\(library)", "SYNC_TIMES=\(path)"]
    }

    var count: Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) / MemoryLayout<Sync>.stride : 0
    }

    /// The first one that began at or after `time`; waits for it.
    func first(after time: Int64) -> Sync {
        let deadline = seconds() + 60
        while true {
            if let sync = all.first(where: { $0.begin >= time }) { return sync }
            if seconds() > deadline { fail("see a new line in the spool within a minute", 0) }
            usleep(1000)
        }
    }

    private var all: [Sync] {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        // What came before the last few is of no interest.
        let kept = min(count, 64)
        var syncs = [Sync](repeating: Sync(begin: 0, end: 0), count: kept)
        let start = (count - kept) * MemoryLayout<Sync>.stride
        let read = syncs.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(start)) }
        return Array(syncs.prefix(max(0, read) / MemoryLayout<Sync>.stride))
    }
}
