import Glibc

/// What this process uses of the machine, under the names that Prometheus' own libraries give it.
package struct ProcessUsage: Equatable, Sendable {
    /// Milliseconds of processor time, of all threads.
    package var processorTime: Int64 = 0
    package var residentBytes: UInt64 = 0
    package var openFiles = 0
    package var maximumFiles: UInt64 = 0

    package init() {}

    package static func current() -> ProcessUsage {
        var usage = ProcessUsage()
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        usage.processorTime = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        usage.residentBytes = residentPages() * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            usage.maximumFiles = UInt64(limit.rlim_cur)
        }
        if let directory = opendir("/proc/self/fd") {
            // Not the directory itself, nor the two names that every directory has.
            usage.openFiles = -3
            while readdir(directory) != nil { usage.openFiles += 1 }
            closedir(directory)
        }
        return usage
    }

    /// The second number of statm.
    private static func residentPages() -> UInt64 {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var text = [UInt8](repeating: 0, count: 128)
        let count = read(descriptor, &text, text.count)
        let numbers = text.prefix(max(0, count)).split(separator: UInt8(ascii: " "))
        return numbers.count > 1 ? UInt64(String(decoding: numbers[1], as: UTF8.self)) ?? 0 : 0
    }
}

extension MetricsText {
    mutating func add(_ usage: ProcessUsage, started: Int64) {
        family(
            "process_start_time_seconds", .gauge, "When the agent was started, in seconds since 1970.",
            .milliseconds(started))
        family(
            "process_cpu_seconds_total", .counter, "Processor time used, in seconds.",
            .milliseconds(usage.processorTime))
        family("process_resident_memory_bytes", .gauge, "Resident memory, in bytes.", .count(usage.residentBytes))
        family("process_open_fds", .gauge, "Open file descriptors.", Value(usage.openFiles))
        family("process_max_fds", .gauge, "File descriptors that may be open.", .count(usage.maximumFiles))
    }
}
