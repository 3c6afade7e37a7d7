import Glibc

@testable import TailraceInputs

/// Sends datagrams and streams to a syslog input of this process.
final class SyslogSender {
    let descriptor: CInt

    /// - Parameters:
    ///   - place: a listener's, such as `udp://127.0.0.1:5514`.
    ///   - from: the address to send from.
    init(to socket: ListeningSocket, from: String? = nil) {
        let isStream = socket.kind != .datagrams
        let isSix = socket.place.contains("[")
        let type = Int32(isStream ? SOCK_STREAM.rawValue : SOCK_DGRAM.rawValue)
        if case .unix(let path) = socket.address {
            descriptor = Glibc.socket(AF_UNIX, type, 0)
            var name = sockaddr_un()
            name.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
            Self.call(descriptor, &name, Glibc.connect)
            return
        }
        descriptor = Glibc.socket(isSix ? AF_INET6 : AF_INET, type, 0)
        if isSix {
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_addr = in6addr_loopback
            name.sin6_port = in_port_t(socket.port).bigEndian
            Self.call(descriptor, &name, Glibc.connect)
        } else {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            if let from {
                inet_pton(AF_INET, from, &name.sin_addr)
                Self.call(descriptor, &name, Glibc.bind)
            }
            inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
            name.sin_port = in_port_t(socket.port).bigEndian
            Self.call(descriptor, &name, Glibc.connect)
        }
    }

    deinit { close() }

    private static func call<Name>(
        _ descriptor: CInt, _ name: inout Name, _ body: (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) {
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body(descriptor, $0, socklen_t(MemoryLayout<Name>.size))
            }
        }
        precondition(result == 0, "errno \(errno)")
    }

    private var isOpen = true

    func close() {
        guard isOpen else { return }
        isOpen = false
        Glibc.close(descriptor)
    }

    /// False when the kernel did not take it.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) == bytes.count }
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// All of it, however long it takes.
    func sendAll(_ bytes: [UInt8]) {
        var at = 0
        while at < bytes.count {
            let count = bytes[at...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            at += count
        }
    }
}
