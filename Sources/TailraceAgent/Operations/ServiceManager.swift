import Glibc

/// Tells systemd how the service stands (sd_notify's protocol: a datagram to the socket in NOTIFY_SOCKET).
package struct ServiceManager: Sendable {
    private let path: String?

    /// Speaks to the socket that the environment names; without one, every call does nothing.
    package init(
        path: String? = getenv("NOTIFY_SOCKET").map { String(cString: $0) },
        environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }
    ) {
        self.path = path.flatMap { $0.isEmpty ? nil : $0 }
        let isOurs = environment("WATCHDOG_PID").map { $0 == String(getpid()) } ?? true
        let microseconds = environment("WATCHDOG_USEC").flatMap { Int64($0) } ?? 0
        watchdogMilliseconds = isOurs && microseconds > 0 ? max(1, microseconds / 1000) : nil
    }

    /// Everything runs: after the start, or after a reload.
    package func ready() { notify("READY=1") }

    /// A reload begins; `ready` ends it, however it went. systemd wants to know since when, by the monotonic clock.
    package func reloading() {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        notify("RELOADING=1\nMONOTONIC_USEC=\(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)")
    }

    /// A line for people.
    package func status(_ text: String) {
        notify("STATUS=" + String(text.map { $0.isNewline ? " " : $0 }))
    }

    package func stopping() { notify("STOPPING=1") }

    /// Whether anybody is told.
    package var isThere: Bool { path != nil }

    /// All stages get on: to be told at least every `watchdogMilliseconds`, or the service is killed and started anew.
    package func feedWatchdog() { notify("WATCHDOG=1") }

    /// Milliseconds (`WatchdogSec=` of the unit, told by `sd_watchdog_enabled(3)`'s variables); nil when there is no watchdog, or
    /// another process's.
    package let watchdogMilliseconds: Int64?

    /// What cannot be sent is lost: systemd's own time-outs deal with a service that it does not hear of.
    private func notify(_ state: String) {
        guard let path else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        _ = UnixSocket.withAddress(path) { address, length in
            sendto(descriptor, state, state.utf8.count, Int32(MSG_NOSIGNAL), address, length)
        }
    }
}
