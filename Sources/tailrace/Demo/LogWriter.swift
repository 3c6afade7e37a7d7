import CTailrace
import Glibc
import Synchronization
import TailraceAgent

/// Services that write logs: a thread that appends numbered lines to several files at a steady rate, and rotates each
/// by renaming it.
final class LogWriter: Sendable {
    struct Plan: Sendable {
        var directory: String
        var files = 8
        /// Of all files together; 0 = as fast as the disk takes them.
        var linesPerSecond = 30_000
        /// A file is renamed when it has grown to this.
        var rotateBytes = 2 << 20
        /// Rotated files kept; older ones are removed.
        var keep = 50
        /// Ends after so many lines; nil: with `stop`.
        var maximumLines: Int?
    }

    private static let services = ["orders", "payments", "web", "auth", "search", "mail", "stock", "billing"]
    private let plan: Plan
    private let isStopping = Atomic<Bool>(false)
    private let hasEnded = Atomic<Bool>(false)
    private let lines = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)
    private let rotations = Atomic<Int>(0)
    private let perFile: Mutex<[Int]>
    private let failure = Mutex<String?>(nil)

    init(_ plan: Plan) {
        self.plan = plan
        perFile = Mutex(Array(repeating: 0, count: plan.files))
    }

    static func name(_ index: Int) -> String {
        let service = services[index % services.count]
        return index < services.count ? service : "\(service)-\(index / services.count)"
    }

    private func path(_ index: Int) -> String { "\(plan.directory)/\(Self.name(index)).log" }

    var linesWritten: Int { lines.load(ordering: .relaxed) }
    var bytesWritten: Int { bytes.load(ordering: .relaxed) }
    var rotationsMade: Int { rotations.load(ordering: .relaxed) }
    var isDone: Bool { hasEnded.load(ordering: .acquiring) }
    /// Why it stopped before its time.
    var problem: String? { failure.withLock { $0 } }
    /// What each source wrote, once it has ended.
    var written: [(source: String, lines: Int)] {
        perFile.withLock { $0.enumerated().map { (Self.name($0.offset), $0.element) } }
    }

    func stop() { isStopping.store(true, ordering: .relaxed) }

    /// Writes until it is told to stop; call it on a thread of its own.
    func run() {
        defer { hasEnded.store(true, ordering: .releasing) }
        var open: [Int32] = []
        defer { for descriptor in open { close(descriptor) } }
        for index in 0..<plan.files {
            let descriptor = Self.create(path(index))
            guard descriptor >= 0 else { return fail(path(index)) }
            open.append(descriptor)
        }
        var sizes = Array(repeating: 0, count: plan.files)
        var numbers = Array(repeating: 0, count: plan.files)
        let start = Self.now()
        var buffer: [UInt8] = []
        let tick = 10_000_000 as Int64
        var due = start
        while !isStopping.load(ordering: .relaxed) {
            let written = linesWritten
            if let maximum = plan.maximumLines, written >= maximum { return }
            var wanted =
                plan.linesPerSecond == 0
                ? 4000 : Int((due - start) * Int64(plan.linesPerSecond) / 1_000_000_000) - written
            if let maximum = plan.maximumLines { wanted = min(wanted, maximum - written) }
            let time = Timestamp.text(milliseconds: Timestamp.now())
            for index in 0..<plan.files {
                let share = wanted / plan.files + (index < wanted % plan.files ? 1 : 0)
                guard share > 0 else { continue }
                buffer.removeAll(keepingCapacity: true)
                for _ in 0..<share {
                    NumberedLine.append(source: Self.name(index), number: numbers[index], time: time, to: &buffer)
                    numbers[index] += 1
                }
                guard Self.write(buffer, to: open[index]) else { return fail(path(index)) }
                sizes[index] += buffer.count
                bytes.add(buffer.count, ordering: .relaxed)
                let counts = numbers
                perFile.withLock { $0 = counts }
                lines.add(share, ordering: .relaxed)
                if sizes[index] >= plan.rotateBytes {
                    close(open[index])
                    rotate(index)
                    open[index] = Self.create(path(index))
                    guard open[index] >= 0 else { return fail(path(index)) }
                    sizes[index] = 0
                }
            }
            if plan.linesPerSecond == 0 { continue }
            due += tick
            let rest = due - Self.now()
            if rest > 0 { usleep(UInt32(rest / 1000)) }
        }
    }

    private func rotate(_ index: Int) {
        unlink("\(path(index)).\(plan.keep)")
        for number in (1..<plan.keep).reversed() where access("\(path(index)).\(number)", F_OK) == 0 {
            rename("\(path(index)).\(number)", "\(path(index)).\(number + 1)")
        }
        rename(path(index), "\(path(index)).1")
        rotations.add(1, ordering: .relaxed)
    }

    private func fail(_ path: String) {
        let reason = String(cString: strerror(errno))
        failure.withLock { $0 = "cannot write \(path): \(reason)" }
    }

    private static func create(_ path: String) -> Int32 { open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644) }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
