import CTailrace
import Glibc
import Synchronization

/// A socket that messages arrive at, or connections. Closed when it goes.
package final class ListeningSocket: Sendable {
    package enum Kind: Equatable, Sendable { case datagrams, stream, tls }

    package let address: SyslogAddress
    package let kind: Kind
    let descriptor: CInt
    /// Bytes of the receive buffer as the kernel granted them; 0 where it does not matter.
    package var receiveBuffer: Int { granted.load(ordering: .relaxed) }
    private let granted: Atomic<Int>
    /// Where it really listens, which differs for port 0 and for systemd's sockets.
    package let place: String
    /// A path that goes with the socket.
    private let path: String?
    /// Another input goes on with it.
    private let isPassedOn = Atomic<Bool>(false)
    /// Datagrams that were lost here, as the kernel counted when whoever had it looked last.
    let seenLosses = Atomic<UInt32>(0)

    init(_ address: SyslogAddress, _ kind: Kind, descriptor: CInt, receiveBuffer: Int = 0, path: String? = nil) {
        self.address = address
        self.kind = kind
        self.descriptor = descriptor
        granted = Atomic(receiveBuffer)
        self.path = path
        place = Self.place(address, descriptor)
    }

    deinit {
        close(descriptor)
        if let path { unlink(path) }
    }

    /// Whoever has it leaves what arrives from now on to the one that gets it. That one takes it over with `resume`.
    package func passOn() { isPassedOn.store(true, ordering: .releasing) }

    var isLeft: Bool { isPassedOn.load(ordering: .acquiring) }

    /// - Parameter wanted: bytes of the receive buffer.
    func resume(_ wanted: Int) {
        isPassedOn.store(false, ordering: .releasing)
        if kind == .datagrams { granted.store(Self.enlarge(descriptor, wanted), ordering: .relaxed) }
    }

    /// The same socket, for what it brings to be taken otherwise: with TLS, or without.
    func serving(_ address: SyslogAddress, _ kind: Kind) throws(SyslogError) -> ListeningSocket {
        if address == self.address { return self }
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw Self.failure(address, "cannot use what listens there", errno) }
        return ListeningSocket(address, kind, descriptor: copy)
    }

    /// Lets nothing more arrive; what has arrived stays. Not where the service manager keeps the socket for the next run.
    func deafen() {
        switch address {
        case .udp: tailrace_socket_deafen(descriptor)
        // Senders get an error, and know.
        case .unix: shutdown(descriptor, CInt(SHUT_RD))
        case .tcp, .tls, .systemd: break
        }
    }

    /// Port that it listens on; 0 for paths.
    package var port: Int { Int(place.split(separator: ":").last ?? "") ?? 0 }

    /// Opens everything that `address` stands for.
    ///
    /// - Parameter receiveBuffer: bytes wanted.
    package static func open(
        _ address: SyslogAddress, receiveBuffer: Int, passed: PassedSockets = .ofThisProcess
    ) throws(SyslogError) -> [ListeningSocket] {
        switch address {
        case .udp(let host, let port):
            let descriptor = try bound(address, SOCK_DGRAM, host, port)
            return [datagrams(address, descriptor, receiveBuffer)]
        case .tcp(let host, let port): return [try stream(address, .stream, host, port)]
        case .tls(let host, let port): return [try stream(address, .tls, host, port)]
        case .unix(let path): return [try unixSocket(address, path, receiveBuffer)]
        case .systemd(let name):
            let descriptors = passed.descriptors(named: name)
            guard !descriptors.isEmpty else {
                throw SyslogError(
                    "systemd passed no socket named \"\(name)\" (it passed \(passed.list)); set FileDescriptorName=\(name)"
                        + " in the socket unit, and start it")
            }
            return try descriptors.map { descriptor throws(SyslogError) in
                try adopt(address, descriptor, receiveBuffer)
            }
        }
    }

    // MARK: Kinds

    private static func adopt(
        _ address: SyslogAddress, _ passed: CInt, _ receiveBuffer: Int
    ) throws(SyslogError) -> ListeningSocket {
        // A copy, so that the socket can be adopted again when the agent starts anew in the same process.
        let descriptor = fcntl(passed, F_DUPFD_CLOEXEC, 3)
        guard descriptor >= 0 else { throw failure(address, "cannot use descriptor \(passed)", errno) }
        switch option(descriptor, SO_TYPE) {
        case CInt(SOCK_DGRAM.rawValue): return datagrams(address, descriptor, receiveBuffer)
        case CInt(SOCK_STREAM.rawValue) where option(descriptor, SO_ACCEPTCONN) == 1:
            setNonBlocking(descriptor)
            return ListeningSocket(address, .stream, descriptor: descriptor)
        default:
            close(descriptor)
            throw SyslogError(
                "\(address): descriptor \(passed) is no socket for datagrams, nor one that listens; use ListenDatagram= or"
                    + " ListenStream= with Accept=no")
        }
    }

    /// The kernel's word for it, or −1.
    private static func option(_ descriptor: CInt, _ name: CInt) -> CInt {
        var value: CInt = -1
        var length = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 else { return -1 }
        return value
    }

    private static func set(_ descriptor: CInt, _ name: CInt, _ value: CInt, level: CInt = SOL_SOCKET) -> Bool {
        var value = value
        return setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<CInt>.size)) == 0
    }

    private static func setNonBlocking(_ descriptor: CInt) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    private static func datagrams(
        _ address: SyslogAddress, _ descriptor: CInt, _ wanted: Int, path: String? = nil
    ) -> ListeningSocket {
        setNonBlocking(descriptor)
        _ = set(descriptor, SO_RXQ_OVFL, 1)
        return ListeningSocket(
            address, .datagrams, descriptor: descriptor, receiveBuffer: enlarge(descriptor, wanted), path: path)
    }

    /// The size that the kernel grants: beyond the limit of the system where we may, up to it where not. It doubles what it is
    /// told, and tells what it has doubled.
    private static func enlarge(_ descriptor: CInt, _ wanted: Int) -> Int {
        let size = CInt(clamping: wanted)
        if !set(descriptor, SO_RCVBUFFORCE, size) { _ = set(descriptor, SO_RCVBUF, size) }
        return Int(option(descriptor, SO_RCVBUF)) / 2
    }

    private static func stream(
        _ address: SyslogAddress, _ kind: Kind, _ host: String, _ port: Int
    ) throws(SyslogError) -> ListeningSocket {
        let descriptor = try bound(address, SOCK_STREAM, host, port)
        guard listen(descriptor, SOMAXCONN) == 0 else {
            let code = errno
            close(descriptor)
            throw failure(address, "cannot listen", code)
        }
        setNonBlocking(descriptor)
        return ListeningSocket(address, kind, descriptor: descriptor)
    }

    private static func unixSocket(
        _ address: SyslogAddress, _ path: String, _ receiveBuffer: Int
    ) throws(SyslogError) -> ListeningSocket {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(address, "cannot make a socket", errno) }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        let (result, code) = withUnsafePointer(to: &name) { name in
            name.withMemoryRebound(to: sockaddr.self, capacity: 1) { name -> (CInt, CInt) in
                let length = socklen_t(MemoryLayout<sockaddr_un>.size)
                var result = Glibc.bind(descriptor, name, length)
                var code = errno
                // A socket that nobody listens on is left from a process that was killed.
                if result != 0, code == EADDRINUSE, isDeserted(name, length) {
                    unlink(path)
                    result = Glibc.bind(descriptor, name, length)
                    code = errno
                }
                return (result, code)
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw failure(address, "cannot listen", code)
        }
        // Everybody may log.
        chmod(path, 0o666)
        return datagrams(address, descriptor, receiveBuffer, path: path)
    }

    private static func isDeserted(_ name: UnsafePointer<sockaddr>, _ length: socklen_t) -> Bool {
        let probe = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { return false }
        defer { close(probe) }
        return connect(probe, name, length) != 0 && errno == ECONNREFUSED
    }

    private static func bound(
        _ address: SyslogAddress, _ type: __socket_type, _ host: String, _ port: Int
    ) throws(SyslogError) -> CInt {
        var four = sockaddr_in()
        let isFour = inet_pton(AF_INET, host, &four.sin_addr) == 1
        let descriptor = socket(isFour ? AF_INET : AF_INET6, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(address, "cannot make a socket", errno) }
        if type == SOCK_STREAM { _ = set(descriptor, SO_REUSEADDR, 1) }
        let result: CInt
        if isFour {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = in_port_t(port).bigEndian
            result = Self.bind(descriptor, &four)
        } else {
            // The address of everything takes IPv4 too.
            _ = set(descriptor, IPV6_V6ONLY, 0, level: CInt(IPPROTO_IPV6))
            var six = sockaddr_in6()
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = in_port_t(port).bigEndian
            inet_pton(AF_INET6, host, &six.sin6_addr)
            result = Self.bind(descriptor, &six)
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw failure(address, "cannot listen", code)
        }
        return descriptor
    }

    private static func bind<Address>(_ descriptor: CInt, _ address: inout Address) -> CInt {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
    }

    private static func failure(_ address: SyslogAddress, _ what: String, _ code: CInt) -> SyslogError {
        let remedy =
            switch code {
            case EADDRINUSE: "; something else listens there: stop it (ss -lnp shows it), or choose another place"
            case EACCES: "; a port below 1024 needs CAP_NET_BIND_SERVICE, a path the right to write in its directory"
            case EADDRNOTAVAIL: "; no interface of this machine has that address"
            case ENOENT: "; make the directory"
            default: ""
            }
        return SyslogError(
            "\(address): \(what): \(String(cString: strerror(code)))\(remedy)", isTaken: code == EADDRINUSE)
    }

    private static func place(_ address: SyslogAddress, _ descriptor: CInt) -> String {
        if case .unix = address { return "\(address)" }
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let found = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard found == 0 else { return "\(address)" }
        let peer = withUnsafeBytes(of: &storage) { PeerAddress(name: $0) }
        guard let peer else { return "\(address)" }
        let port = withUnsafeBytes(of: &storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
        let host = peer.isIPv4 ? "\(peer)" : "[\(peer)]"
        switch address {
        case .udp: return "udp://\(host):\(port)"
        case .tcp: return "tcp://\(host):\(port)"
        case .tls: return "tls://\(host):\(port)"
        case .unix, .systemd: return "\(address) (\(host):\(port))"
        }
    }
}

extension PeerAddress {
    /// From a socket's address; nil when it is of another family.
    init?(name: UnsafeRawBufferPointer) {
        switch CInt(name.load(as: sa_family_t.self)) {
        case AF_INET:
            let number = UInt32(bigEndian: name.load(fromByteOffset: 4, as: UInt32.self))
            self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(number))
        case AF_INET6: self.init(name.baseAddress! + 8)
        default: return nil
        }
    }
}
