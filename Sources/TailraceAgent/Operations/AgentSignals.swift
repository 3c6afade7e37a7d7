import Glibc
import Synchronization

/// The signals that tell a running agent what to do. From `install` on, none of them ends the process by itself.
package final class AgentSignals: Sendable {
    package enum Order: Equatable, Sendable {
        /// SIGTERM, SIGINT.
        case stop
        /// One of them again, `patience` or more after the first: somebody does not want to wait.
        case end
        /// SIGHUP: read the configuration again.
        case reload
    }
    package typealias Handler = @Sendable (Order) -> Void

    private struct State {
        var handler: Handler?
        var reloads = false
        /// Nanoseconds of the monotonic clock, of the first stop.
        var stopped: UInt64?
    }
    /// Nanoseconds. Some launchers, `timeout` among them, tell a process and then its group: that is one stop.
    private static let patience: UInt64 = 500_000_000

    private let state = Mutex(State())
    /// Pipes that the signals' handlers write to: the ends that are read.
    private let stop: CInt
    private let reload: CInt

    /// The other ends; set before the handlers are installed.
    private nonisolated(unsafe) static var stopEnd: CInt = -1
    private nonisolated(unsafe) static var reloadEnd: CInt = -1

    /// Call once in a process, as early as possible, on its main thread, which goes on to take them.
    /// Until somebody obeys there is nothing that would have to be stopped in
    /// order: then a stop ends the process, with code 0.
    package static func install() -> AgentSignals {
        let (stop, reload) = (pipe(), pipe())
        (stopEnd, reloadEnd) = (stop.write, reload.write)
        let signals = AgentSignals(stop: stop.read, reload: reload.read)
        for number in [SIGTERM, SIGINT] { signal(number) { _ in AgentSignals.raise(AgentSignals.stopEnd) } }
        signal(SIGHUP) { _ in AgentSignals.raise(AgentSignals.reloadEnd) }
        // Whoever started the process may have blocked them, and it would hear of none.
        var numbers = sigset_t()
        sigemptyset(&numbers)
        for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&numbers, number) }
        pthread_sigmask(SIG_UNBLOCK, &numbers, nil)
        pthread_detach(DedicatedThread.start("signals") { signals.listen() })
        return signals
    }

    private init(stop: CInt, reload: CInt) {
        self.stop = stop
        self.reload = reload
    }

    /// What comes, and a reload that came before, is told to `handler`, on a thread that must not be held up.
    package func obey(_ handler: @escaping Handler) {
        let reloads = state.withLock { state in
            state.handler = handler
            defer { state.reloads = false }
            return state.reloads
        }
        if reloads { handler(.reload) }
    }

    private func listen() {
        while true {
            var ends = [stop, reload].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&ends, 2, -1) > 0 else { continue }
            if ends[0].revents != 0, Self.drain(stop) { tell(.stop) }
            if ends[1].revents != 0, Self.drain(reload) { tell(.reload) }
        }
    }

    private func tell(_ order: Order) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        let (handler, isImpatient) = state.withLock { state in
            if state.handler == nil, order == .reload { state.reloads = true }
            let isImpatient = order == .stop && state.stopped.map { now >= $0 + Self.patience } ?? false
            if order == .stop, state.stopped == nil { state.stopped = now }
            return (state.handler, isImpatient)
        }
        if let handler { return handler(isImpatient ? .end : order) }
        if order == .stop { _exit(0) }
    }

    private static func pipe() -> (read: CInt, write: CInt) {
        var ends: [CInt] = [-1, -1]
        let code = Glibc.pipe(&ends)
        precondition(code == 0, "no pipe: \(errno)")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        return (ends[0], ends[1])
    }

    /// However often it was raised, once is enough.
    private static func drain(_ descriptor: CInt) -> Bool {
        var bytes: [UInt8] = Array(repeating: 0, count: 64)
        var isRaised = false
        while read(descriptor, &bytes, bytes.count) > 0 { isRaised = true }
        return isRaised
    }

    /// In a signal's handler. A pipe that is full has been raised.
    private static func raise(_ descriptor: CInt) {
        let code = errno
        var byte: UInt8 = 0
        _ = write(descriptor, &byte, 1)
        errno = code
    }
}
