import Glibc
import LoadSupport
import Measurements
import TailraceSpool

/// A spool that holds gibibytes nobody has acknowledged, opened after an end in the middle: how long that takes and what is
/// read of it, and what reading all of it in the background costs.
struct Reopening {
    private let filling: Filling
    private let bytes: Int

    /// - Parameter directory: made anew; its parent must exist.
    init(directory: String, bytes: Int) {
        filling = Filling(directory: directory)
        self.bytes = bytes
    }

    /// Prints the figures of so many openings, the spool's pages dropped from memory before each.
    func run(rounds: Int) throws {
        try fill()
        var times: [Double] = []
        var read = 0
        for _ in 0..<rounds {
            try dropPages()
            let disk = CountingDisk()
            let begin = ContinuousClock.now
            let spool = try open {
                $0.environment.disk = disk
                $0.verificationRate = 0
            }
            times.append(begin.duration(to: .now) / .milliseconds(1))
            read = disk.bytesRead
            spool.abandon()
        }
        var results = Results("a spool of \(bytes >> 20) MiB, opened after a kill, nothing of it in memory")
        results.add("opened", "ms", times)
        results.add("opened", "KiB read", [Double(read) / 1024])
        try verify(&results)
        results.add("all of this", "MiB peak", [Double(peak) / 1024])
        results.tell()
    }

    private func open(_ change: (inout SpoolConfiguration) -> Void) throws -> Spool {
        try filling.open {
            $0.maximumSize = UInt64(bytes) * 2
            change(&$0)
        }
    }

    private func fill() throws {
        let spool = try open { $0.sync = .interval(.seconds(1)) }
        try filling.fill(spool, bytes: bytes)
        spool.abandon()
    }

    /// Of all files of the spool.
    private func dropPages() throws {
        for name in try SpoolDirectory(path: filling.directory).names() {
            let file = Glibc.open("\(filling.directory)/\(name)", O_RDONLY)
            guard file >= 0 else { throw Failure("cannot open \(name)") }
            defer { close(file) }
            fdatasync(file)
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
        }
    }

    /// As fast as it goes.
    private func verify(_ results: inout Results) throws {
        let spool = try open {
            $0.verificationDelay = .zero
            $0.verificationRate = 1 << 40
        }
        let begin = (ContinuousClock.now, processor)
        var seconds = 0.0
        while spool.statistics().unverified > 0 {
            usleep(10_000)
            seconds = begin.0.duration(to: .now) / .seconds(1)
            guard seconds < 600 else { throw Failure("it is not verified after 600 s") }
        }
        results.add("verified in the background", "MB/s", [Double(bytes) / 1e6 / seconds])
        results.add("verified in the background", "s/GiB", [(processor - begin.1) / Double(bytes) * 1_073_741_824])
        guard spool.statistics().quarantinedPlaces == 0 else { throw Failure("there is damage") }
        spool.close()
    }

    func remove() { filling.remove() }

    private var usage: rusage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage
    }

    /// Seconds of the whole process.
    private var processor: Double {
        let usage = usage
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// KiB.
    private var peak: Int { usage.ru_maxrss }
}
