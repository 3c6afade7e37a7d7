import Glibc
import LoadSupport
import Logging
import TailraceSpool

/// A spool that holds gibibytes nobody has acknowledged, opened after an end in the middle: how long that takes and what is
/// read of it, and what reading all of it in the background costs.
struct ReopenLoad {
    private static let line = 200
    private static let block = 1 << 20
    private static let quiet = Logger(label: "reopen") { _ in SwiftLogNoOpLogHandler() }

    /// Made anew; its parent must exist.
    let directory: String
    let bytes: Int

    /// Prints the figures of so many openings, the spool's pages dropped from memory before each.
    func run(rounds: Int) throws {
        try fill()
        var times: [Double] = []
        var read = 0
        for _ in 0..<rounds {
            try dropPages()
            let disk = CountingDisk()
            var settings = configuration
            settings.environment.disk = disk
            settings.verificationRate = 0
            let begin = ContinuousClock.now
            let spool = try Spool.open(settings, logger: Self.quiet)
            times.append(begin.duration(to: .now) / .milliseconds(1))
            read = disk.bytesRead
            spool.abandon()
        }
        print("a spool of \(bytes >> 20) MiB in records of \(Self.line) bytes")
        report("opened after a kill, nothing of it in memory", "ms", times, decimals: 1)
        print("read for it: \(read >> 10) KiB")
        try verify()
        print("peak memory of all this: \(peak >> 10) MiB")
    }

    private var configuration: SpoolConfiguration {
        var configuration = SpoolConfiguration(directory: directory)
        configuration.maximumSize = UInt64(bytes) * 2
        return configuration
    }

    private func fill() throws {
        var settings = configuration
        settings.sync = .interval(.seconds(1))
        let spool = try Spool.open(settings, logger: Self.quiet)
        let pool = BatchPool(blockCapacity: Self.block, limit: 8)
        let body = [UInt8](repeating: UInt8(ascii: "x"), count: Self.line)
        let context = RecordContext(host: "host", source: "/var/log/app.log", input: "app").encoded
        var done = 0
        while done < bytes {
            guard let batch = pool.take() else {
                usleep(200)
                continue
            }
            batch.context = context
            while batch.length + Self.line <= Self.block {
                guard let start = body.withUnsafeBytes(batch.copyIn) else { break }
                batch.append(RecordEntry(start: start, length: UInt32(Self.line)))
            }
            batch.position = SourcePosition(source: SourceKey([1]), value: Array("\(done)".utf8))
            done += batch.length
            try spool.append(batch)
        }
        guard spool.flush(timeoutMilliseconds: 600_000) else { throw Failure("the spool cannot be written") }
        spool.abandon()
    }

    /// Of all files of the spool.
    private func dropPages() throws {
        for name in try SpoolDirectory(path: directory).names() {
            let file = open("\(directory)/\(name)", O_RDONLY)
            guard file >= 0 else { throw Failure("cannot open \(name)") }
            defer { close(file) }
            fdatasync(file)
            posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
        }
    }

    /// As fast as it goes.
    private func verify() throws {
        var settings = configuration
        settings.verificationDelay = .zero
        settings.verificationRate = 1 << 40
        let spool = try Spool.open(settings, logger: Self.quiet)
        let begin = (ContinuousClock.now, processor)
        var seconds = 0.0
        while spool.statistics().unverified > 0 {
            usleep(10_000)
            seconds = begin.0.duration(to: .now) / .seconds(1)
            guard seconds < 600 else { throw Failure("it is not verified after 600 s") }
        }
        report("read and verified", "MiB per second of processor time", [Double(bytes >> 20) / (processor - begin.1)])
        report("read and verified", "MiB/s", [Double(bytes >> 20) / seconds])
        guard spool.statistics().quarantinedPlaces == 0 else { throw Failure("there is damage") }
        spool.close()
    }

    func remove() {
        for name in (try? SpoolDirectory(path: directory).names()) ?? [] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

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
