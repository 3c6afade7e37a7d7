import Glibc

/// Tells systemd how the service stands (sd_notify's protocol: a datagram to the socket in NOTIFY_SOCKET).
package struct ServiceManager: Sendable {
    private let path: String?

    /// Speaks to the socket that the environment names; without one, every call does nothing.
    package init(path: String? = getenv("NOTIFY_SOCKET").map { String(cString: $0) }) {
        self.path = path.flatMap { $0.isEmpty ? nil : $0 }
    }

    package func ready() { notify("READY=1") }
    package func stopping() { notify("STOPPING=1") }

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
