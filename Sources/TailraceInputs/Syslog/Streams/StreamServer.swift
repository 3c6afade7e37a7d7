import Glibc
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import OpenSSLTransport
import Synchronization
internal import TailraceSpool

/// Takes messages from connections, on an event loop of its own. Senders can wait: while the spool takes nothing, nobody
/// is read from.
final class StreamServer: Sendable {
    /// How long connections get at a stop to be closed.
    private static let closeMilliseconds = 2000

    private let listeners: [(socket: ListeningSocket, index: Int)]
    private let configuration: SyslogConfiguration
    private let tls: TLSContext?
    private let intake: StreamIntake
    private let counters: IntakeCounters
    private let logger: Logger
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let quiescing: ServerQuiescing
    let mark = StageMark("syslog streams")
    private let life = Monitor()
    private let changed: Monitor.Condition
    private let isStopping = Atomic<Bool>(false)
    private let hasEnded = Atomic<Bool>(false)

    init(
        _ listeners: [(ListeningSocket, Int)], _ configuration: SyslogConfiguration, tls: TLSContext?,
        queue: IntakeQueue, counters: IntakeCounters, logger: Logger
    ) {
        self.listeners = listeners.map { (socket: $0.0, index: $0.1) }
        self.configuration = configuration
        self.tls = tls
        self.counters = counters
        self.logger = logger
        intake = StreamIntake(queue: queue, counters: counters, loop: group.next())
        quiescing = ServerQuiescing()
        changed = Monitor.Condition(life)
    }

    func start() {
        for (socket, index) in listeners {
            do {
                // The channel closes its descriptor: a copy, for the socket has its own.
                let descriptor = fcntl(socket.descriptor, F_DUPFD_CLOEXEC, 3)
                guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "dup") }
                let channel = try bootstrap(socket, index).withBoundSocket(descriptor).wait()
                quiescing.add(channel)
            } catch {
                logger.error(
                    "cannot accept syslog connections",
                    metadata: ["at": "\(socket.place)", "error": "\(error)"])
            }
        }
    }

    private func bootstrap(_ socket: ListeningSocket, _ index: Int) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 << 10))
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    let limit = configuration.maximumConnections
                    guard counters.connections.load(ordering: .relaxed) < limit else {
                        let refused = counters.refusedConnections.wrappingAdd(1, ordering: .relaxed).newValue
                        if refused & (refused - 1) == 0 {
                            logger.warning(
                                "a syslog connection is refused: there are as many as maximum_connections allows",
                                metadata: ["at": "\(socket.place)", "limit": "\(limit)", "refused": "\(refused)"])
                        }
                        throw SyslogError("too many connections")
                    }
                    if socket.kind == .tls, let tls {
                        try channel.pipeline.syncOperations.addHandler(TLSHandler(server: tls))
                    }
                    if let seconds = configuration.idleSeconds {
                        try channel.pipeline.syncOperations.addHandler(
                            IdleStateHandler(readTimeout: .seconds(Int64(seconds))))
                    }
                    try channel.pipeline.syncOperations.addHandler(
                        StreamHandler(
                            intake: intake, listener: UInt32(index), place: socket.place,
                            maximumMessage: configuration.maximumMessage, counters: counters, logger: logger))
                    quiescing.add(channel)
                }
            }
    }

    /// Has the event loop show that it is alive: called again before it has, there is nothing more to ask.
    func probe() {
        guard !mark.isAtWork, !isStopping.load(ordering: .relaxed) else { return }
        mark.work()
        group.next().execute { self.mark.rest() }
    }

    /// From any thread: no new connections; what has arrived on the others is still taken, then they are closed.
    func stop() {
        guard !isStopping.exchange(true, ordering: .relaxed) else { return }
        let thread = startThread("syslog-stop") { [self] in
            quiescing.close(withinMilliseconds: Self.closeMilliseconds)
            intake.finish()
            try? group.syncShutdownGracefully()
            // A question that came too late has no answer.
            mark.rest()
            hasEnded.store(true, ordering: .releasing)
            life.withLock { changed.broadcast() }
        }
        pthread_detach(thread)
    }

    func waitForEnd() {
        life.lock()
        while !hasEnded.load(ordering: .acquiring) { changed.wait() }
        life.unlock()
    }
}

/// The channels that are open, to close them all.
private final class ServerQuiescing: Sendable {
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        channels.withLock { $0[id] = channel }
        channel.closeFuture.whenComplete { [self] _ in _ = channels.withLock { $0.removeValue(forKey: id) } }
    }

    func close(withinMilliseconds limit: Int) {
        for channel in channels.withLock({ Array($0.values) }) { channel.close(promise: nil) }
        var waited = 0
        while waited < limit, channels.withLock({ !$0.isEmpty }) {
            usleep(5000)
            waited += 5
        }
    }
}
