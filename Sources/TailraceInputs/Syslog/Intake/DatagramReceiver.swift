import CTailrace
import Glibc
import Synchronization
internal import TailraceSpool

/// Takes datagrams off their sockets, on a thread of its own that waits for nothing but them: when the spool does not
/// keep up they gather in memory, and when there is no room left they are dropped, and counted.
final class DatagramReceiver: @unchecked Sendable {
    /// Datagrams that one call takes at most.
    private static let batch: UInt32 = 128
    /// How long messages gather before they are passed on, so that those of one sender lie together.
    private static let gathering: UInt64 = 5_000_000
    /// How long they gather at most while the writer is busy.
    private static let longestGathering: UInt64 = 1_000_000_000
    /// Of datagrams that come faster than this, one after the other, those of a pause are taken together: waking up for each
    /// costs more than all else that is done with it.
    private static let quickest: UInt64 = 200_000
    /// Nanoseconds. Those that a second has a million of still fill a small part of a receive buffer meanwhile.
    private static let pause: UInt64 = 1_000_000
    /// Bytes of a receive buffer that is large enough for that.
    private static let enough = 4 << 20
    /// Losses are told in the stream once in so long.
    private static let reportInterval: UInt64 = 1_000_000_000

    private struct Listener {
        let socket: ListeningSocket
        let index: UInt32
        /// As the kernel counted when we last looked.
        var seen: UInt32 = 0
        var unreported: UInt64 = 0
    }

    private let queue: IntakeQueue
    private let counters: IntakeCounters
    private let maximumMessage: Int
    private let receiver: OpaquePointer
    /// Ends a wait.
    private let wake: WakePipe
    private let isStopping = Atomic<Bool>(false)
    let mark = StageMark("syslog datagrams")
    // Below: the thread's own.
    private var listeners: [Listener]
    private var chunk: IntakeChunk?
    private var memoryUnreported: UInt64 = 0
    private var lastReport: UInt64 = 0
    private var lastTaking: UInt64 = 0
    /// Whether every receive buffer holds what comes in a pause.
    private let mayPause: Bool

    /// - Parameter listeners: with their indexes among all of the input.
    init(
        _ listeners: [(ListeningSocket, Int)], queue: IntakeQueue, counters: IntakeCounters, maximumMessage: Int
    ) throws(SyslogError) {
        guard let wake = WakePipe() else {
            throw SyslogError(
                "cannot make a pipe: \(describeErrno(errno)); raise the limit of open files (LimitNOFILE)")
        }
        guard let receiver = tailrace_receiver_make(Self.batch, min(65_535, maximumMessage)) else {
            throw SyslogError("there is no memory to receive \(Self.batch) datagrams; lower maximum_message")
        }
        self.wake = wake
        self.receiver = receiver
        self.listeners = listeners.map { Listener(socket: $0.0, index: UInt32($0.1)) }
        mayPause = listeners.allSatisfy { $0.0.receiveBuffer >= Self.enough }
        self.queue = queue
        self.counters = counters
        self.maximumMessage = maximumMessage
    }

    deinit { tailrace_receiver_free(receiver) }

    /// From any thread: what has arrived until now is still taken, then `run` returns.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        wake.wake()
    }

    func run() {
        for index in listeners.indices {
            listeners[index].seen = listeners[index].socket.seenLosses.load(ordering: .relaxed)
        }
        var polled = listeners.map { pollfd(fd: $0.socket.descriptor, events: Int16(POLLIN), revents: 0) }
        polled.append(pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0))
        while !isStopping.load(ordering: .acquiring) {
            mark.rest()
            poll(&polled, nfds_t(polled.count), waitMilliseconds)
            mark.work()
            var taken = 0
            var mayHaveMore = false
            for index in listeners.indices where polled[index].revents != 0 {
                let count = takeFrom(index)
                taken += count
                if count == Self.batch { mayHaveMore = true }
            }
            if taken == 0 { for index in listeners.indices { noteLosses(index) } }
            reportLosses(force: false)
            passOn(force: false)
            if taken > 0, !mayHaveMore { pauseIfBusy(taken) }
        }
        drain()
        mark.rest()
    }

    /// After so many datagrams, when there were no more.
    private func pauseIfBusy(_ taken: Int) {
        let now = monotonicNanoseconds()
        let isBusy = now - lastTaking < UInt64(taken) * Self.quickest
        lastTaking = now
        guard isBusy, mayPause else { return }
        mark.rest()
        usleep(UInt32(Self.pause / 1000))
    }

    private var waitMilliseconds: CInt {
        if let chunk, chunk.count > 0 { return queue.isEmpty ? 5 : 50 }
        if hasUnreportedLosses { return 100 }
        // Nothing is lost while nothing comes.
        return 60_000
    }

    /// One call's worth; how many there were.
    private func takeFrom(_ index: Int) -> Int {
        let count = tailrace_receive(receiver, listeners[index].socket.descriptor)
        // An error that stays must not keep a processor busy.
        if count < 0 { usleep(10_000) }
        guard count > 0 else { return 0 }
        counters.received.wrappingAdd(UInt64(count), ordering: .relaxed)
        let time = wallClockMilliseconds()
        var datagram = tailrace_datagram()
        for number in 0..<UInt32(count) {
            tailrace_received(receiver, number, &datagram)
            if datagram.tells_losses != 0 { noteLosses(index, datagram.losses) }
            let length = min(Int(datagram.length), maximumMessage)
            guard let chunk = chunk(for: length) else {
                counters.memoryLosses.wrappingAdd(1, ordering: .relaxed)
                memoryUnreported += 1
                continue
            }
            let peer = withUnsafeBytes(of: &datagram.address) { PeerAddress($0.baseAddress!) }
            chunk.append(
                .init(
                    length: UInt32(length), originalLength: datagram.original_length, time: time, peer: peer,
                    listener: listeners[index].index),
                datagram.bytes)
        }
        return Int(count)
    }

    /// A chunk with room, passing on the one that has none; nil when there is no memory.
    private func chunk(for length: Int) -> IntakeChunk? {
        if let chunk {
            if chunk.hasRoom(length) { return chunk }
            queue.put(chunk, .datagrams)
        }
        chunk = queue.take(.datagrams)
        chunk?.since = monotonicNanoseconds()
        return chunk
    }

    private func passOn(force: Bool) {
        guard let open = chunk, open.count > 0 else { return }
        if !force {
            let age = monotonicNanoseconds() - open.since
            guard age >= Self.longestGathering || (age >= Self.gathering && queue.isEmpty) else { return }
        }
        queue.put(open, .datagrams)
        chunk = nil
    }

    // MARK: Losses

    /// Asks the kernel: after the last datagram of a burst nothing else tells.
    private func noteLosses(_ index: Int) {
        var losses: UInt32 = 0
        if tailrace_socket_losses(listeners[index].socket.descriptor, &losses) == 0 { noteLosses(index, losses) }
    }

    /// - Parameter losses: all of the socket's, modulo 2^32. A datagram tells how many there were when it arrived, which
    ///   may be less than what has been heard since.
    private func noteLosses(_ index: Int, _ losses: UInt32) {
        let new = losses &- listeners[index].seen
        guard new > 0, new < 1 << 31 else { return }
        listeners[index].seen = losses
        listeners[index].unreported += UInt64(new)
        counters.kernelLosses.wrappingAdd(UInt64(new), ordering: .relaxed)
    }

    private var hasUnreportedLosses: Bool {
        memoryUnreported > 0 || listeners.contains { $0.unreported > 0 }
    }

    /// Puts a record into the stream for what was lost, where there is room for it.
    private func reportLosses(force: Bool) {
        guard hasUnreportedLosses else { return }
        let now = monotonicNanoseconds()
        guard force || now - lastReport >= Self.reportInterval else { return }
        lastReport = now
        let time = wallClockMilliseconds()
        for index in listeners.indices where listeners[index].unreported > 0 {
            guard let chunk = chunk(for: 0) else { return }
            chunk.append(
                .init(
                    length: 0, originalLength: 0, time: time, peer: PeerAddress(), listener: listeners[index].index,
                    kind: .kernelLoss, lost: listeners[index].unreported), nil)
            listeners[index].unreported = 0
        }
        guard memoryUnreported > 0, let first = listeners.first, let chunk = chunk(for: 0) else { return }
        chunk.append(
            .init(
                length: 0, originalLength: 0, time: time, peer: PeerAddress(), listener: first.index, kind: .memoryLoss,
                lost: memoryUnreported), nil)
        memoryUnreported = 0
    }

    // MARK: The end

    /// What the kernel still has is taken, and what it lost is counted: nothing may arrive in between.
    private func drain() {
        for index in listeners.indices {
            let socket = listeners[index].socket
            defer { socket.seenLosses.store(listeners[index].seen, ordering: .relaxed) }
            if socket.isLeft {
                noteLosses(index)
                continue
            }
            socket.deafen()
            // Where senders cannot be shut out, more than a receive buffer holds is for whoever listens next.
            var left = 100_000
            while left > 0, takeFrom(index) > 0 { left -= 1 }
            noteLosses(index)
        }
        // The writer gives chunks back while it is at work: what was lost is told, unless the spool takes nothing any more.
        let end = monotonicNanoseconds() + SyslogInput.stopNanoseconds
        reportLosses(force: true)
        while hasUnreportedLosses, monotonicNanoseconds() < end {
            usleep(5000)
            reportLosses(force: true)
        }
        passOn(force: true)
    }
}
