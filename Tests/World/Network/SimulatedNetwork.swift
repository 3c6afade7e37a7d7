import NIOCore
import TailraceSpool
import TestSupport

/// Carries bytes between the processes of a world: late, in pieces of any size, one connection before or behind the other;
/// loses connections so that both ends hear of it, or one, or none. Everything is decided by the seed.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class SimulatedNetwork: @unchecked Sendable {
    /// What it does to connections; chances in thousandths.
    struct Weather: Sendable {
        /// Nanoseconds on the way, at most.
        var delay: UInt64 = 1_000_000
        /// Bytes that are read at a time, at most.
        var piece = 1 << 16
        /// In percent, pieces of a few bytes, which cut frames anywhere.
        var tinyPieces = 0
        /// Per piece: the connection breaks.
        var breaks = 0
        /// Per connection: nobody answers, or it is refused.
        var refusals = 0
    }

    /// Who is at the ends of a connection.
    private enum End: Int, CaseIterable {
        case client, server
        var other: End { self == .client ? .server : .client }
    }

    /// One direction of a connection.
    private struct Pipe {
        var pieces = CircularBuffer<(bytes: ByteBuffer, arrival: UInt64)>()
        var count = 0
        /// When the end of the stream arrives, behind everything else.
        var end: UInt64?
        /// Nothing comes through any more, and nobody is told.
        var isSilent = false
        var lastArrival: UInt64 = 0
    }

    private final class Connection {
        let number: Int
        /// Nil: the process is no more.
        var channels: [SimulatedChannel?]
        /// By who sends.
        var pipes = [Pipe(), Pipe()]

        init(_ number: Int, _ client: SimulatedChannel, _ server: SimulatedChannel) {
            self.number = number
            channels = [client, server]
        }
    }

    private struct Call {
        let host: String
        let loop: SimulatedLoop
        let arrival: UInt64
        let deadline: UInt64
        let promise: EventLoopPromise<any Channel>
    }

    var weather = Weather()
    /// Takes the connection that was made to a host.
    typealias Accept = @Sendable (_ channel: SimulatedChannel, _ host: String) throws -> Void

    /// Where connections go, to whatever host; nil: nobody listens there.
    var server: (loop: SimulatedLoop, accept: Accept)?
    /// Nobody is there to refuse a connection either.
    var isServerDark = false
    /// Told what becomes of connections.
    var onEvent: ((_ what: StaticString, _ connection: Int, _ count: Int) -> Void)?
    /// What processes have sent that are no more does not arrive behind the connections of those that follow.
    var isOrderly = false
    /// Bytes on their way per direction, and bytes that a channel keeps for it before it is not writable.
    private let window: Int
    private let mark: Int
    private let clock: () -> UInt64
    private var random: SeededGenerator
    private var calls: [Call] = []
    private var connections: [Connection] = []
    private var lastNumber = 0

    init(seed: UInt64, window: Int, mark: Int, clock: @escaping () -> UInt64) {
        random = SeededGenerator(seed: seed)
        self.window = window
        self.mark = mark
        self.clock = clock
    }

    private func happens(_ chance: Int) -> Bool {
        chance > 0 && Int.random(in: 0..<1000, using: &random) < chance
    }

    private func delay() -> UInt64 { weather.delay == 0 ? 0 : UInt64.random(in: 0...weather.delay, using: &random) }

    // MARK: - Connecting

    /// A `Route.Connector`.
    func connect(_ loop: SimulatedLoop, to host: String, timeout: TimeAmount) -> EventLoopFuture<any Channel> {
        let promise = loop.makePromise(of: (any Channel).self)
        let now = clock()
        calls.append(
            Call(
                host: host, loop: loop, arrival: now + delay(), deadline: now + UInt64(clamping: timeout.nanoseconds),
                promise: promise))
        return promise.futureResult
    }

    private func answer(_ call: Call) {
        guard let server, !happens(weather.refusals) else {
            let isSilent = server == nil ? isServerDark : Bool.random(using: &random)
            onEvent?(isSilent ? "nobody answers" : "refused", 0, 0)
            guard isSilent else {
                call.loop.execute { call.promise.fail(IOError(errnoCode: 111, reason: "connect")) }
                return
            }
            let limit = TimeAmount.nanoseconds(Int64(call.deadline - call.arrival))
            call.loop.scheduleTask(deadline: .uptimeNanoseconds(call.deadline)) {
                call.promise.fail(ChannelError.connectTimeout(limit))
            }
            return
        }
        if isOrderly { deliverLeftovers() }
        lastNumber += 1
        let client = SimulatedChannel(call.loop, mark: mark)
        let accepted = SimulatedChannel(server.loop, mark: mark)
        let connection = Connection(lastNumber, client, accepted)
        connections.append(connection)
        for end in End.allCases {
            connection.channels[end.rawValue]?.onSend = { [unowned self, unowned connection] in
                take(&$0, connection, end)
            }
            connection.channels[end.rawValue]?.onClose = { [unowned self, unowned connection] in
                closed(connection, end)
            }
        }
        onEvent?("connected", connection.number, 0)
        server.loop.execute {
            do {
                try server.accept(accepted, call.host)
                accepted.activate()
            } catch {
                accepted.close(promise: nil)
            }
        }
        call.loop.execute {
            client.activate()
            call.promise.succeed(client)
        }
    }

    /// What processes have sent that are no more arrives now.
    private func deliverLeftovers() {
        for connection in connections where connection.channels[End.client.rawValue] == nil {
            while !connection.pipes[End.client.rawValue].isSilent,
                connection.pipes[End.client.rawValue].pieces.first != nil
                    || connection.pipes[End.client.rawValue].end != nil
            {
                deliver(connection, .client, .max)
            }
        }
    }

    // MARK: - Sending

    private func take(_ bytes: inout ByteBuffer, _ connection: Connection, _ end: End) {
        let room = window - connection.pipes[end.rawValue].count
        guard room > 0, let piece = bytes.readSlice(length: min(room, bytes.readableBytes)) else { return }
        // A direction that is silent looks like one that is slow: what was taken is never confirmed.
        connection.pipes[end.rawValue].count += piece.readableBytes
        // Nothing comes behind the end.
        guard connection.pipes[end.rawValue].end == nil else { return }
        let arrival = max(connection.pipes[end.rawValue].lastArrival, clock() + delay())
        connection.pipes[end.rawValue].lastArrival = arrival
        connection.pipes[end.rawValue].pieces.append((piece, arrival))
    }

    /// One end has closed its channel: the other reads what is on its way, and then the end; or it is told at once, and what
    /// was on its way is lost.
    private func closed(_ connection: Connection, _ end: End) {
        onEvent?("closed", connection.number, end.rawValue)
        connection.channels[end.rawValue] = nil
        finish(connection, end, losing: Int.random(in: 0..<4, using: &random) == 0)
    }

    private func finish(_ connection: Connection, _ end: End, losing: Bool) {
        if losing { drop(connection, end, keeping: 0) }
        let arrival = max(connection.pipes[end.rawValue].lastArrival, clock() + delay())
        connection.pipes[end.rawValue].end = arrival
        drop(connection, end.other, keeping: 0)
    }

    /// Forgets what is on its way from an end, but for its first bytes.
    private func drop(_ connection: Connection, _ end: End, keeping count: Int) {
        var left = count
        var kept = CircularBuffer<(bytes: ByteBuffer, arrival: UInt64)>()
        for var piece in connection.pipes[end.rawValue].pieces where left > 0 {
            guard let bytes = piece.bytes.readSlice(length: min(left, piece.bytes.readableBytes)) else { continue }
            left -= bytes.readableBytes
            kept.append((bytes, piece.arrival))
        }
        connection.pipes[end.rawValue].pieces = kept
        connection.pipes[end.rawValue].count = count - left
    }

    // MARK: - Ends of processes

    /// The process is no more: what it has sent arrives, or some of it, and then the end of its connections; with its
    /// machine gone too, they are only silent.
    func clientsEnded(withPower: Bool) {
        for call in calls { call.loop.execute { call.promise.fail(ChannelError.ioOnClosedChannel) } }
        calls = []
        for connection in connections { processEnded(connection, .client, withPower) }
    }

    func serverEnded(withPower: Bool) {
        server = nil
        isServerDark = withPower
        for connection in connections { processEnded(connection, .server, withPower) }
    }

    private func processEnded(_ connection: Connection, _ end: End, _ withPower: Bool) {
        guard let channel = connection.channels[end.rawValue] else { return }
        channel.onSend = nil
        channel.onClose = nil
        channel.loop.execute { channel.receiveReset() }
        connection.channels[end.rawValue] = nil
        let count = connection.pipes[end.rawValue].count
        if Bool.random(using: &random) { drop(connection, end, keeping: Int.random(in: 0...count, using: &random)) }
        if withPower {
            drop(connection, end.other, keeping: 0)
            silence(connection, end.other)
        } else {
            finish(connection, end, losing: false)
        }
    }

    // MARK: - A turn

    func step() -> StepResult<UInt64> {
        connections.removeAll { $0.channels[0] == nil && $0.channels[1] == nil }
        let now = clock()
        var due: [(connection: Connection, end: End)] = []
        var next = UInt64.max
        for connection in connections {
            for end in End.allCases where !connection.pipes[end.rawValue].isSilent {
                guard
                    let arrival = connection.pipes[end.rawValue].pieces.first?.arrival
                        ?? connection.pipes[end.rawValue].end
                else { continue }
                if arrival <= now { due.append((connection, end)) } else { next = min(next, arrival) }
            }
        }
        let callsDue = calls.indices.filter { calls[$0].arrival <= now }
        for call in calls { next = min(next, call.arrival) }
        guard due.count + callsDue.count > 0 else { return .wait(until: next == .max ? nil : next) }
        let choice = Int.random(in: 0..<(due.count + callsDue.count), using: &random)
        if choice < callsDue.count {
            answer(calls.remove(at: callsDue[choice]))
        } else {
            let (connection, end) = due[choice - callsDue.count]
            if happens(weather.breaks) { breakUp(connection) } else { deliver(connection, end, now) }
        }
        return .again
    }

    private func deliver(_ connection: Connection, _ end: End, _ now: UInt64) {
        let receiver = connection.channels[end.other.rawValue]
        guard !connection.pipes[end.rawValue].pieces.isEmpty else {
            connection.pipes[end.rawValue].end = nil
            connection.pipes[end.rawValue].isSilent = true
            onEvent?("end", connection.number, end.rawValue)
            if let receiver { receiver.loop.execute { receiver.receiveEnd() } }
            return
        }
        var bytes = ByteBuffer()
        let isTiny = weather.tinyPieces > 0 && Int.random(in: 0..<100, using: &random) < weather.tinyPieces
        var left = isTiny ? Int.random(in: 1...9, using: &random) : weather.piece
        while left > 0, var piece = connection.pipes[end.rawValue].pieces.first, piece.arrival <= now {
            guard var slice = piece.bytes.readSlice(length: min(left, piece.bytes.readableBytes)) else { break }
            left -= slice.readableBytes
            bytes.writeBuffer(&slice)
            connection.pipes[end.rawValue].pieces.removeFirst()
            if piece.bytes.readableBytes > 0 { connection.pipes[end.rawValue].pieces.prepend(piece) }
        }
        connection.pipes[end.rawValue].count -= bytes.readableBytes
        onEvent?("bytes", connection.number, end == .client ? bytes.readableBytes : -bytes.readableBytes)
        if let receiver {
            let received = bytes
            receiver.loop.execute { receiver.receive(received) }
        }
        if let sender = connection.channels[end.rawValue] { sender.loop.execute { sender.sendOn() } }
    }

    /// Both ends hear that the connection is gone, or one of them does, or none; or one direction goes on.
    private func breakUp(_ connection: Connection) {
        let kind = Int.random(in: 0..<6, using: &random)
        onEvent?("broken", connection.number, kind)
        switch kind {
        case 0:
            reset(connection, .client)
            reset(connection, .server)
        case 1:
            silence(connection, .client)
            silence(connection, .server)
            reset(connection, .client)
        case 2:
            silence(connection, .client)
            silence(connection, .server)
            reset(connection, .server)
        case 3:
            silence(connection, .client)
            silence(connection, .server)
        case 4: silence(connection, Bool.random(using: &random) ? .client : .server)
        default:
            // One end reads the end of the stream early.
            let end = Bool.random(using: &random) ? End.client : .server
            drop(connection, end, keeping: Int.random(in: 0...connection.pipes[end.rawValue].count, using: &random))
            connection.pipes[end.rawValue].end = clock()
        }
    }

    private func silence(_ connection: Connection, _ end: End) { connection.pipes[end.rawValue].isSilent = true }

    private func reset(_ connection: Connection, _ end: End) {
        drop(connection, end.other, keeping: 0)
        guard let channel = connection.channels[end.rawValue] else { return }
        channel.loop.execute { channel.receiveReset() }
    }
}
