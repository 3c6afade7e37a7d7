import Glibc
import Synchronization

@testable import TailraceAgent

/// Sends numbered pieces, each with its time, until it is stopped. On a thread of its own: what runs beside it must not hold
/// it up.
final class NumberedLoad: Sendable {
    private let isStopping = Atomic<Bool>(false)
    private let sent = Atomic<Int>(0)
    private let life = Life()

    /// - Parameters:
    ///   - pause: microseconds from one to the next.
    ///   - send: takes the number and the time, in milliseconds since 1970; what it does not take is offered again.
    init(every pause: UInt32, _ send: @escaping @Sendable (_ number: Int, _ time: Int64) -> Bool) {
        life.start("load") { [self] in
            while !isStopping.load(ordering: .relaxed) {
                if send(sent.load(ordering: .relaxed), Self.now) { sent.wrappingAdd(1, ordering: .relaxed) }
                usleep(pause)
            }
        }
    }

    /// Milliseconds since 1970.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Lines for a log: its name, the number, the time.
    static func lines(_ path: String) -> NumberedLoad {
        let name = String(path.split(separator: "/").last ?? "")
        return NumberedLoad(every: 2000) { number, time in
            (try? AgentProcess.write(Array("\(name) \(number) \(time)\n".utf8), to: path, append: true)) != nil
        }
    }

    /// Messages over UDP to a port of this machine.
    static func datagrams(port: Int) -> NumberedLoad {
        let socket = DatagramSocket()
        return NumberedLoad(every: 500) { number, time in
            socket.send("<13>datagram \(number) \(time)", to: port)
        }
    }

    /// How many it has sent.
    func stop() -> Int {
        isStopping.store(true, ordering: .relaxed)
        while !life.hasEnded(withinMilliseconds: 1000) {}
        return sent.load(ordering: .relaxed)
    }
}

private final class DatagramSocket: Sendable {
    private let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)

    deinit { close(descriptor) }

    func send(_ text: String, to port: Int) -> Bool {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, text, text.utf8.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) > 0
            }
        }
    }
}
