public import Glibc
import Synchronization

/// A child process whose resource use we read from /proc while it lives.
public final class Child {
    public let pid: pid_t
    /// What the child writes to its standard output.
    public let output: Int32
    private var line: [UInt8] = []
    /// Those that nobody has waited for: a benchmark that fails takes them along.
    fileprivate static let living = Mutex<Set<pid_t>>([])

    public init(_ arguments: [String]) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { fail("pipe") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        defer { posix_spawn_file_actions_destroy(&actions) }
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        defer { words.forEach { free($0) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, arguments[0], &actions, nil, words, environ)
        guard result == 0 else { fail("start \(arguments[0])", result) }
        close(ends[1])
        self.pid = pid
        output = ends[0]
        Self.living.withLock { _ = $0.insert(pid) }
    }

    /// The next line of the child's output; nil when it has closed it.
    public func readLine() -> String? {
        var byte: UInt8 = 0
        while read(output, &byte, 1) == 1 {
            if byte == 10 {
                defer { line.removeAll() }
                return String(decoding: line, as: UTF8.self)
            }
            line.append(byte)
        }
        return nil
    }

    /// All that the child writes until it ends.
    public func readAll() -> String {
        var text = ""
        while let line = readLine() { text += line + "\n" }
        return text
    }

    /// Seconds of processor time, user and system, of all its threads so far.
    public var processorSeconds: Double {
        // Fields 14 and 15 of /proc/PID/stat, counted after the command's closing parenthesis.
        guard let stat = contents("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return 0 }
        let fields = stat[end...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// The largest resident set so far, in MiB.
    public var peakMiB: Double { statusField("VmHWM:") / 1024 }

    /// The resident set now, in MiB.
    public var residentMiB: Double { statusField("VmRSS:") / 1024 }

    private func statusField(_ name: String) -> Double {
        guard let status = contents("/proc/\(pid)/status") else { return 0 }
        for line in status.split(separator: "\n") where line.hasPrefix(name) {
            return Double(line.split(whereSeparator: { !$0.isNumber }).first ?? "") ?? 0
        }
        return 0
    }

    /// Bytes that it made the kernel write to disks so far.
    public var bytesWritten: Int {
        for line in (contents("/proc/\(pid)/io") ?? "").split(separator: "\n") where line.hasPrefix("write_bytes:") {
            return Int(line.split(separator: " ").last ?? "") ?? 0
        }
        return 0
    }

    /// How often its threads have given up the processor of their own accord: each is a wake-up sooner or later.
    public var voluntarySwitches: Int {
        guard let directory = opendir("/proc/\(pid)/task") else { return 0 }
        defer { closedir(directory) }
        var sum = 0
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let status = contents("/proc/\(pid)/task/\(name)/status") else { continue }
            for line in status.split(separator: "\n") where line.hasPrefix("voluntary_ctxt_switches:") {
                sum += Int(line.split(whereSeparator: { !$0.isNumber }).first ?? "") ?? 0
            }
        }
        return sum
    }

    /// It is no more, though nobody has waited for it.
    public var hasEnded: Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT) != 0 || information.si_signo != 0
    }

    @discardableResult
    public func end(_ signal: Int32 = SIGTERM) -> Int32 {
        kill(pid, signal)
        return wait()
    }

    /// Waits for its end and returns the largest resident set that it ever had, in MiB.
    public func waitForPeakMiB() -> Double {
        var status: Int32 = 0
        var usage = rusage()
        wait4(pid, &status, 0, &usage)
        forget()
        return Double(usage.ru_maxrss) / 1024
    }

    @discardableResult
    public func wait() -> Int32 {
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        forget()
        return status
    }

    private func forget() {
        close(output)
        Self.living.withLock { _ = $0.remove(pid) }
    }
}

public func contents(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        bytes += buffer[..<count]
    }
}

public func write(_ text: String, to path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard descriptor >= 0 else { fail("create \(path)") }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard write(descriptor, bytes, bytes.count) == bytes.count else { fail("write \(path)") }
}

public func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

public func fail(_ what: String, _ error: Int32 = errno) -> Never {
    complain("cannot \(what)" + (error == 0 ? "" : ": \(String(cString: strerror(error)))"))
    for pid in Child.living.withLock({ $0 }) { kill(pid, SIGTERM) }
    exit(1)
}

public func complain(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    _ = write(2, bytes, bytes.count)
}
