import Glibc
package import Logging
import Synchronization
package import TailraceSpool

/// A syslog input: its sockets, the thread that takes datagrams, the streams, and the writer that `run` occupies.
package final class SyslogInput: RunningInput {
    /// What has not been written so long after a stop is given up, and counted.
    static let stopNanoseconds: UInt64 = 6_000_000_000

    private let configuration: SyslogConfiguration
    private let host: String
    private let sockets: [ListeningSocket]
    private let sink: any BatchSink
    private let logger: Logger
    private let queue: IntakeQueue
    private let counters = IntakeCounters()
    private let receiver: DatagramReceiver?
    private let streams: StreamServer?
    private let mark = StageMark("syslog writer")
    /// Monotonic nanoseconds; 0 while it runs.
    private let stoppedAt = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - host: of messages that come from this machine by a path.
    package init(
        _ configuration: SyslogConfiguration, _ listeners: SyslogListeners, host: String, sink: any BatchSink,
        logger: Logger
    ) throws(SyslogError) {
        self.configuration = configuration
        self.host = host
        sockets = listeners.sockets
        self.sink = MarkedSink(sink, mark)
        self.logger = logger
        queue = IntakeQueue(maximumMessage: configuration.maximumMessage, buffer: configuration.buffer)
        let numbered = sockets.enumerated().map { ($0.element, $0.offset) }
        let datagrams = numbered.filter { $0.0.kind == .datagrams }
        receiver =
            datagrams.isEmpty
            ? nil
            : try DatagramReceiver(
                datagrams, queue: queue, counters: counters, maximumMessage: configuration.maximumMessage)
        let listening = numbered.filter { $0.0.kind != .datagrams }
        streams =
            listening.isEmpty
            ? nil
            : StreamServer(
                listening, configuration, tls: listeners.tls, queue: queue, counters: counters, logger: logger)
    }

    package var description: String { "syslog input \(configuration.name)" }

    /// Where it listens.
    package var places: [String] { sockets.map(\.place) }
    /// For whoever goes on with them.
    package var listeningSockets: [ListeningSocket] { sockets }

    package func run() {
        for socket in sockets { socket.resume(configuration.receiveBuffer) }
        tellOfBuffers()
        let writer = SyslogWriter(
            configuration, host: host, places: places, queue: queue, counters: counters, sink: sink, mark: mark,
            isGivenUp: { [self] in
                let stopped = stoppedAt.load(ordering: .relaxed)
                return stopped > 0 && monotonicNanoseconds() - stopped > Self.stopNanoseconds
            })
        let thread = receiver.map { receiver in startThread("syslog-udp") { receiver.run() } }
        streams?.start()
        // Ends the queue once both have put everything.
        let (streams, queue) = (streams, queue)
        let closer = startThread("syslog-end") {
            if let thread { pthread_join(thread, nil) }
            streams?.waitForEnd()
            queue.close()
        }
        writer.run()
        pthread_join(closer, nil)
    }

    package func stop() {
        _ = stoppedAt.compareExchange(expected: 0, desired: max(1, monotonicNanoseconds()), ordering: .relaxed)
        receiver?.stop()
        streams?.stop()
    }

    package var marks: [StageMark] { [mark] + [receiver?.mark, streams?.mark].compactMap { $0 } }

    package func probe() { streams?.probe() }

    /// The kernel may grant less than we want.
    private func tellOfBuffers() {
        for socket in sockets where socket.kind == .datagrams {
            let isLess = socket.receiveBuffer < configuration.receiveBuffer
            logger.log(
                level: isLess ? .warning : .info, "listening for syslog datagrams",
                metadata: [
                    "input": "\(configuration.name)", "at": "\(socket.place)",
                    "receive buffer": "\(buffer(of: socket))",
                ])
        }
        for socket in sockets where socket.kind != .datagrams {
            logger.info(
                "listening for syslog streams", metadata: ["input": "\(configuration.name)", "at": "\(socket.place)"])
        }
    }

    private func buffer(of socket: ListeningSocket) -> String {
        let isLess = socket.receiveBuffer < configuration.receiveBuffer
        return "\(socket.receiveBuffer) bytes"
            + (isLess ? " of \(configuration.receiveBuffer); raise the sysctl net.core.rmem_max" : "")
    }

    package func reports(timeoutMilliseconds: Int) -> [String: InputReport] {
        var report = InputReport()
        report.drops = [
            .init("lost in the kernel", counters.kernelLosses.load(ordering: .relaxed)),
            .init("no room in memory", counters.memoryLosses.load(ordering: .relaxed)),
            .init("stopped before the spool took it", counters.stopLosses.load(ordering: .relaxed)),
        ]
        report.notices = counters.notices.load(ordering: .relaxed)
        report.sources = sockets.map { socket in
            switch socket.kind {
            case .datagrams:
                let trusted = counters.trusted.load(ordering: .relaxed)
                return .init(
                    socket.place,
                    "receive buffer: \(buffer(of: socket))"
                        + (trusted > 0 ? "; \(trusted) messages under the names that trusted relays gave" : ""))
            case .stream, .tls:
                let open = counters.connections.load(ordering: .relaxed)
                let broken = counters.brokenFrames.load(ordering: .relaxed)
                let refused = counters.refusedConnections.load(ordering: .relaxed)
                return .init(
                    socket.place,
                    "\(open) connections" + (broken > 0 ? ", \(broken) closed for what they sent" : "")
                        + (refused > 0 ? ", \(refused) refused" : ""))
            }
        }
        return [configuration.name: report]
    }

    /// Messages taken so far, for tests.
    package var received: UInt64 { counters.received.load(ordering: .relaxed) }
    package var lost: UInt64 {
        counters.kernelLosses.load(ordering: .relaxed) + counters.memoryLosses.load(ordering: .relaxed)
            + counters.stopLosses.load(ordering: .relaxed)
    }
}
