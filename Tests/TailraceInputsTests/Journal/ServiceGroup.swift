import Glibc
import TestSupport

/// Makes this process one of a systemd service for as long as it lives: journald asks the control groups.
final class ServiceGroup {
    private let path: String
    private let former: String

    init(_ service: String) throws {
        let mounts = ChildProcess.text("/proc/mounts").split(separator: "\n").map { $0.split(separator: " ") }
        let mount = mounts.first { $0.count > 2 && $0[2] == "cgroup2" }
        let line = ChildProcess.text("/proc/self/cgroup").split(separator: "\n").first { $0.hasPrefix("0::") }
        guard let mount, let line else { throw ChildProcess.Failure("there are no control groups of version 2") }
        let root = String(mount[1])
        former = root + line.dropFirst(3)
        mkdir("\(root)/system.slice", 0o755)
        path = "\(root)/system.slice/\(service)"
        guard mkdir(path, 0o755) == 0, enter(path) else {
            throw ChildProcess.Failure("cannot enter \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        _ = enter(former)
        rmdir(path)
        // Stays while others are in it.
        rmdir(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex).description)
    }

    private func enter(_ group: String) -> Bool {
        let descriptor = open("\(group)/cgroup.procs", O_WRONLY)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let text = "\(getpid())"
        return write(descriptor, text, text.utf8.count) == text.utf8.count
    }
}
