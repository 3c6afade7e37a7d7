internal import DequeModule
package import NIOCore

/// One AMQP connection after the protocol headers, seen from either end: part 2, section 2.4, with its sessions and links.
///
/// A value without IO, clock or channel. Frames, times and wishes go in; what is to be done queues up and is taken with
/// `next()`. Each mistake of the peer ends the smallest thing that the specification lets it end.
package struct ConnectionMachine {
    private enum State: Hashable {
        case start
        case open
        /// Our close is out; everything but the peer's close is dropped.
        case closeSent
        case closed
    }

    package let configuration: ConnectionConfiguration
    private var state = State.start
    private var openSent = false
    /// The peer's open, once it came.
    package private(set) var remoteOpen: Open?
    private var localError: AMQPError?
    private var actions = ConnectionActions()
    private var serial: UInt32 = 0
    private var nextToken: UInt64 = 0

    /// By our channel.
    private var sessions: [UInt16: SessionMachine] = [:]
    /// The peer's channels to ours.
    private var remoteChannels: [UInt16: UInt16] = [:]
    /// Sessions in turn, so that one with much to send does not keep out the others.
    private var pumpAfter: UInt16 = 0
    /// Sessions whose dispositions are held back to be joined.
    private var pendingSessions: Set<UInt16> = []

    private var lastReceived: NIODeadline
    private var lastSent: NIODeadline

    package init(_ configuration: ConnectionConfiguration, now: NIODeadline) {
        self.configuration = configuration
        lastReceived = now
        lastSent = now
    }

    /// The next thing to do. Take them all after each call; calls in between only add to the queue.
    package mutating func next() -> ConnectionAction? {
        if actions.isEmpty, !pendingSessions.isEmpty { flushDispositions() }
        return actions.popFirst()
    }

    package var isOpen: Bool { state == .open && remoteOpen != nil }
    package var isClosed: Bool { state == .closed }

    /// The largest frame that may be sent, bytes.
    package var outgoingFrameLimit: Int { Int(min(remoteOpen?.maxFrameSize ?? 512, UInt32(Int32.max))) }

    // MARK: Opening and closing

    /// Sends our open. A machine that receives the peer's first answers by itself.
    package mutating func open() {
        guard state == .start, !openSent else { return }
        openSent = true
        state = .open
        send(0, .open(configuration.open))
    }

    /// Ends the connection from this side: with nil in an orderly way.
    package mutating func close(_ error: AMQPError? = nil) {
        guard state == .open || state == .start else { return }
        flushDispositions()
        open()
        send(0, .close(Close(error: error)))
        state = .closeSent
        localError = error
        dropSessions(AMQPTermination(scope: .connection, origin: .local, error: error))
    }

    /// The byte stream is over, whether or not it should be.
    package mutating func transportClosed(_ error: AMQPError? = nil) {
        guard state != .closed else { return }
        let origin: AMQPTermination.Origin = state == .closeSent ? .local : .transport
        finish(AMQPTermination(scope: .connection, origin: origin, error: localError ?? error))
    }

    private mutating func finish(_ termination: AMQPTermination) {
        dropSessions(termination)
        state = .closed
        actions.append(.event(.closed(termination)))
        actions.append(.closeTransport)
    }

    private mutating func dropSessions(_ termination: AMQPTermination) {
        for channel in sessions.keys.sorted() { drop(channel, termination) }
        pendingSessions.removeAll()
    }

    private mutating func drop(_ channel: UInt16, _ termination: AMQPTermination) {
        guard var session = sessions.removeValue(forKey: channel) else { return }
        session.dropLinks(termination, &actions)
        if let remoteChannel = session.remoteChannel { remoteChannels[remoteChannel] = nil }
        actions.append(.event(.sessionEnded(session.id, termination)))
    }

    // MARK: Frames

    package mutating func receivedEmptyFrame(now: NIODeadline) { lastReceived = now }

    /// The bytes could not be read as frames.
    package mutating func receivedGarbage(_ error: AMQPCodecError) {
        let isFraming = error.kind == .malformedFrame || error.kind == .limitExceeded
        close(AMQPError(isFraming ? AMQPCondition.framingError : AMQPCondition.decodeError, error.description))
    }

    package mutating func receive(
        channel: UInt16, _ performative: Performative, payload: ByteBuffer? = nil, now: NIODeadline
    ) {
        lastReceived = now
        switch state {
        case .closed: return
        case .closeSent:
            guard case .close(let close) = performative else { return }
            finish(
                AMQPTermination(scope: .connection, origin: .local, error: localError ?? close.error))
            return
        case .start, .open: break
        }
        switch performative {
        case .open(let open): receive(open, channel)
        case .close(let close):
            self.open()
            send(0, .close(Close()))
            finish(AMQPTermination(scope: .connection, origin: .peer, error: close.error))
        default:
            guard remoteOpen != nil else {
                self.close(AMQPError(AMQPCondition.illegalState, "a frame before open"))
                return
            }
            guard channel <= configuration.channelMax else {
                self.close(
                    AMQPError(
                        AMQPCondition.framingError,
                        "channel \(channel) is above this connection's channel-max \(configuration.channelMax)"))
                return
            }
            receiveInSession(channel, performative, payload)
        }
    }

    private mutating func receive(_ open: Open, _ channel: UInt16) {
        guard remoteOpen == nil else {
            close(AMQPError(AMQPCondition.illegalState, "a second open"))
            return
        }
        guard open.maxFrameSize >= 512 else {
            close(
                AMQPError(
                    AMQPCondition.invalidField, "open.max-frame-size is \(open.maxFrameSize); the least is 512"))
            return
        }
        remoteOpen = open
        self.open()
        let limit = outgoingFrameLimit
        for channel in Array(sessions.keys) { sessions[channel]?.maximumFrameSize = limit }
        actions.append(.event(.opened(open)))
    }

    private mutating func receiveInSession(_ channel: UInt16, _ performative: Performative, _ payload: ByteBuffer?) {
        if case .begin(let begin) = performative {
            receive(begin, channel)
            return
        }
        guard let local = remoteChannels[channel] else {
            close(AMQPError(AMQPCondition.notAllowed, "a frame on channel \(channel), where no session has begun"))
            return
        }
        if case .end(let end) = performative {
            guard let session = sessions[local] else { return }
            if session.state == .endSent {
                drop(local, AMQPTermination(scope: .session, origin: .local, error: session.localError ?? end.error))
            } else {
                sessions[local]?.flushDispositions(&actions)
                send(local, .end(End()))
                drop(local, AMQPTermination(scope: .session, origin: .peer, error: end.error))
            }
            return
        }
        sessions[local]?.receive(performative, payload: payload, serial: &serial, &actions)
    }

    private mutating func receive(_ begin: Begin, _ channel: UInt16) {
        guard remoteChannels[channel] == nil else {
            close(AMQPError(AMQPCondition.illegalState, "begin on channel \(channel), where a session runs"))
            return
        }
        if let local = begin.remoteChannel {
            guard let session = sessions[local], session.remoteChannel == nil else {
                close(AMQPError(AMQPCondition.notAllowed, "begin answers channel \(local), which awaits no answer"))
                return
            }
            remoteChannels[channel] = local
            let ended = session.state == .endSent
            sessions[local]?.received(begin, on: channel)
            if ended {
                sessions[local]?.state = .endSent
            } else {
                actions.append(.event(.sessionBegun(session.id, begin, byPeer: false)))
            }
            return
        }
        guard let local = freeChannel() else {
            close(AMQPError(AMQPCondition.resourceLimitExceeded, "no channel is left for another session"))
            return
        }
        var session = newSession(local, configuration.session, .mapped)
        session.received(begin, on: channel)
        remoteChannels[channel] = local
        send(local, .begin(session.begin(remoteChannel: channel)))
        sessions[local] = session
        actions.append(.event(.sessionBegun(session.id, begin, byPeer: true)))
    }

    private mutating func newSession(
        _ channel: UInt16, _ configuration: SessionConfiguration, _ state: SessionMachine.State
    ) -> SessionMachine {
        serial &+= 1
        return SessionMachine(
            id: SessionID(channel: channel, serial: serial), configuration: configuration,
            maximumFrameSize: outgoingFrameLimit, state: state)
    }

    private func freeChannel() -> UInt16? {
        let largest = min(remoteOpen?.channelMax ?? 0, configuration.channelMax)
        var channel: UInt16 = 0
        while sessions[channel] != nil {
            guard channel < largest else { return nil }
            channel += 1
        }
        return channel
    }

    private mutating func send(_ channel: UInt16, _ performative: Performative) {
        actions.append(.send(channel: channel, performative, payload: nil))
    }

    private mutating func flushDispositions() {
        for channel in pendingSessions.sorted() { sessions[channel]?.flushDispositions(&actions) }
        pendingSessions.removeAll()
    }

    // MARK: Wishes of the owner. Those on a thing that is over do nothing: its end has been told.

    /// Begins a session. Nil: the connection is over, or no channel is left.
    package mutating func beginSession(_ configuration: SessionConfiguration? = nil) -> SessionID? {
        guard state == .open, let channel = freeChannel() else { return nil }
        let session = newSession(channel, configuration ?? self.configuration.session, .beginSent)
        sessions[channel] = session
        send(channel, .begin(session.begin(remoteChannel: nil)))
        return session.id
    }

    package mutating func end(_ sessionID: SessionID, _ error: AMQPError? = nil) {
        withSession(sessionID) { session, actions, _ in session.end(error, &actions) }
    }

    /// Starts a link. Nil: the session is over, has no handle left, or has a link of that name and role.
    package mutating func attach(_ sessionID: SessionID, _ attach: Attach, credit: CreditPolicy = .manual) -> LinkID? {
        withSession(sessionID) { session, actions, serial in
            session.attach(attach, credit: credit, serial: &serial, &actions)
        } ?? nil
    }

    /// Agrees to an attach that the peer asked for.
    package mutating func accept(_ link: LinkID, _ answer: Attach, credit: CreditPolicy = .manual) {
        withSession(link.session) { session, actions, _ in session.accept(link, answer, credit: credit, &actions) }
    }

    package mutating func refuse(_ link: LinkID, _ error: AMQPError) {
        withSession(link.session) { session, actions, _ in session.refuse(link, error, &actions) }
    }

    package mutating func detach(_ link: LinkID, closed: Bool = true, _ error: AMQPError? = nil) {
        withLink(link) { session, actions in session.detach(link.handle, closed: closed, error, &actions) }
    }

    /// Sets the credit of a receiver link.
    package mutating func grantCredit(_ link: LinkID, _ credit: UInt32, drain: Bool = false) {
        withLink(link) { session, actions in session.grantCredit(link.handle, credit, drain: drain, &actions) }
    }

    /// Queues a delivery on a sender link; its result comes under the token.
    package mutating func send(_ link: LinkID, _ delivery: OutgoingDelivery) -> Result<UInt64, SendRefusal> {
        let token = nextToken
        nextToken += 1
        let refusal = withSession(link.session) { session, _, _ in session.send(link, delivery, token: token) }
        switch refusal {
        case .none: return .failure(.noLink)
        case .some(.some(let refusal)): return .failure(refusal)
        case .some(.none): return .success(token)
        }
    }

    /// Answers received deliveries of a session: see `SessionMachine.settle`.
    package mutating func settle(
        _ sessionID: SessionID, _ first: UInt32, through last: UInt32? = nil, _ state: DeliveryState?,
        settled: Bool = true
    ) {
        withSession(sessionID) { session, actions, _ in
            session.settle(first, through: last ?? first, state: state, settled: settled, &actions)
        }
        pendingSessions.insert(sessionID.channel)
    }

    /// Unsent credit of a sender link, and how many deliveries wait in it.
    package func credit(of link: LinkID) -> (credit: UInt32, queued: Int)? {
        guard let session = sessions[link.session.channel], let link = session.link(link) else { return nil }
        return (link.sender.credit, link.sender.queue.count)
    }

    /// Sends queued deliveries until about `budget` bytes are spent. True: more could be sent at once.
    package mutating func pump(budget: Int) -> Bool {
        guard state == .open, remoteOpen != nil else { return false }
        var budget = budget
        let channels = sessions.keys.sorted()
        guard !channels.isEmpty else { return false }
        let start = channels.firstIndex { $0 > pumpAfter } ?? 0
        for offset in channels.indices {
            guard budget > 0 else { return true }
            let channel = channels[(start + offset) % channels.count]
            pumpAfter = channel
            sessions[channel]?.pump(budget: &budget, &actions)
        }
        return sessions.values.contains { $0.canPump }
    }

    @discardableResult
    private mutating func withSession<Value>(
        _ id: SessionID, _ body: (inout SessionMachine, inout ConnectionActions, inout UInt32) -> Value
    ) -> Value? {
        guard sessions[id.channel]?.id == id else { return nil }
        return body(&sessions[id.channel]!, &actions, &serial)
    }

    private mutating func withLink(
        _ id: LinkID, _ body: (inout SessionMachine, inout ConnectionActions) -> Void
    ) {
        withSession(id.session) { session, actions, _ in
            if session.link(id) != nil { body(&session, &actions) }
        }
    }

    // MARK: Time

    /// The owner wrote frames.
    package mutating func wrote(now: NIODeadline) { lastSent = now }

    /// Looks at the clock: sends an empty frame, or gives up a silent peer. Returns when to look again; nil: never.
    package mutating func tick(now: NIODeadline) -> NIODeadline? {
        guard state == .open, let remoteOpen else { return nil }
        var next: NIODeadline?
        if let own = configuration.idleTimeOut, own > 0 {
            let deadline = lastReceived + .milliseconds(Int64(own))
            guard now < deadline else {
                close(
                    AMQPError(
                        AMQPCondition.connectionForced,
                        "the peer sent nothing for more than the allowed \(own) milliseconds"))
                return nil
            }
            next = deadline
        }
        if let theirs = remoteOpen.idleTimeOut, theirs > 0 {
            let half = TimeAmount.milliseconds(Int64(max(1, theirs / 2)))
            if now >= lastSent + half {
                actions.append(.sendHeartbeat)
                lastSent = now
            }
            next = min(next ?? .distantFuture, lastSent + half)
        }
        return next
    }
}
