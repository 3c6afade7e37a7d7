import Glibc

/// What the threads of a process have used so far.
public struct ThreadUse {
    /// Nanoseconds on a processor.
    public var time = 0
    /// How often a thread gave the processor up of its own accord: each is a wake-up sooner or later.
    public var switches = 0

    public init() {}

    /// Of the threads of each name; those of event loops go together.
    public static func byName(_ pid: pid_t) -> [String: ThreadUse] {
        guard let directory = opendir("/proc/\(pid)/task") else { return [:] }
        defer { closedir(directory) }
        var uses: [String: ThreadUse] = [:]
        while let entry = readdir(directory) {
            let task = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let name = contents("/proc/\(pid)/task/\(task)/comm")?.split(separator: "\n").first,
                let status = contents("/proc/\(pid)/task/\(task)/status"),
                let schedule = contents("/proc/\(pid)/task/\(task)/schedstat")?.split(separator: " ").first
            else { continue }
            let group = name.hasPrefix("NIO-") ? "event loops" : String(name)
            uses[group, default: ThreadUse()].time += Int(schedule) ?? 0
            for line in status.split(separator: "\n") where line.hasPrefix("voluntary_ctxt_switches:") {
                let count = Int(line.split(whereSeparator: { !$0.isNumber }).first ?? "") ?? 0
                uses[group, default: ThreadUse()].switches += count
            }
        }
        return uses
    }
}
