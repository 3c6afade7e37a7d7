internal import DequeModule
internal import NIOCore

/// How this side runs its sessions.
package struct SessionConfiguration: Hashable, Sendable {
    /// Transfer frames that the peer may send before it must wait for a flow; topped up when half is used.
    package var incomingWindow: UInt32 = 5000
    package var outgoingWindow: UInt32 = 5000
    /// The largest handle that the peer may use, so at most this plus one links per session.
    package var handleMax: UInt32 = 255
    package var nextOutgoingID: UInt32 = 1
    /// Bytes of unfinished deliveries of all links of a session together.
    package var reassemblyLimit = 64 << 20
    /// Bytes of one delivery on a link that names no maximum message size of its own.
    package var messageSizeLimit: UInt64 = 64 << 20
    /// Deliveries that wait for credit or window on one sender link.
    package var queueLimit = 8192

    package init() {}
}

/// One session, seen from one of its ends: part 2, section 2.5. A value without IO: performatives in, actions out.
struct SessionMachine {
    enum State: Hashable {
        case beginSent
        case mapped
        /// Our end is out; everything but the peer's end is dropped.
        case endSent
    }

    struct Unsettled {
        var handle: UInt32
        var token: UInt64
    }

    struct PendingDisposition {
        var first: UInt32
        var last: UInt32
        var state: DeliveryState?
        var settled: Bool
    }

    let id: SessionID
    let configuration: SessionConfiguration
    var state: State
    var remoteChannel: UInt16?
    var localError: AMQPError?
    /// The peer's limit for a frame; transfers are cut to it.
    var maximumFrameSize: Int

    var nextOutgoingID: UInt32
    let initialOutgoingID: UInt32
    var nextIncomingID: UInt32?
    var incomingWindow: UInt32
    var remoteIncomingWindow: UInt32 = 0
    var remoteOutgoingWindow: UInt32 = 0
    var remoteHandleMax: UInt32 = .max
    var nextDeliveryID: UInt32 = 0

    var links: [UInt32: LinkMachine] = [:]
    var remoteHandles: [UInt32: UInt32] = [:]
    var names: [LinkKey: UInt32] = [:]
    /// Links with something to send, each at most once, in turn.
    var ready = Deque<UInt32>()
    /// Deliveries that we sent and nobody settled, by delivery id.
    var unsettledOut: [UInt32: Unsettled] = [:]
    /// Deliveries that we received and nobody settled: their local handles.
    var unsettledIn: [UInt32: UInt32] = [:]
    var pendingDisposition: PendingDisposition?
    var reassemblyBytes = 0
    var lowestFreeHandle: UInt32 = 0

    struct LinkKey: Hashable {
        var name: String
        var role: LinkRole
    }

    init(id: SessionID, configuration: SessionConfiguration, maximumFrameSize: Int, state: State) {
        self.id = id
        self.configuration = configuration
        self.maximumFrameSize = maximumFrameSize
        self.state = state
        nextOutgoingID = configuration.nextOutgoingID
        initialOutgoingID = configuration.nextOutgoingID
        incomingWindow = configuration.incomingWindow
    }

    func begin(remoteChannel: UInt16?) -> Begin {
        var begin = Begin(
            nextOutgoingID: initialOutgoingID, incomingWindow: configuration.incomingWindow,
            outgoingWindow: configuration.outgoingWindow)
        begin.remoteChannel = remoteChannel
        begin.handleMax = configuration.handleMax
        return begin
    }

    mutating func received(_ begin: Begin, on channel: UInt16) {
        remoteChannel = channel
        nextIncomingID = begin.nextOutgoingID
        remoteIncomingWindow = begin.incomingWindow
        remoteOutgoingWindow = begin.outgoingWindow
        remoteHandleMax = begin.handleMax
        state = .mapped
    }

    /// Handles one performative that is neither begin nor end.
    mutating func receive(
        _ performative: Performative, payload: ByteBuffer?, serial: inout UInt32, _ out: inout ConnectionActions
    ) {
        guard state == .mapped else { return }
        switch performative {
        case .attach(let attach): receive(attach, serial: &serial, &out)
        case .flow(let flow): receive(flow, &out)
        case .transfer(let transfer): receive(transfer, payload: payload, &out)
        case .disposition(let disposition): receive(disposition, &out)
        case .detach(let detach): receive(detach, &out)
        case .open, .begin, .end, .close:
            preconditionFailure("the connection machine handles open, begin, end and close")
        }
    }

    /// Ends the session from this side.
    mutating func end(_ error: AMQPError?, _ out: inout ConnectionActions) {
        guard state != .endSent else { return }
        flushDispositions(&out)
        out.append(.send(channel: id.channel, .end(End(error: error)), payload: nil))
        state = .endSent
        localError = error
        dropLinks(AMQPTermination(scope: .session, origin: .local, error: error), &out)
    }

    /// Tells the end of every link and of every delivery in them.
    mutating func dropLinks(_ termination: AMQPTermination, _ out: inout ConnectionActions) {
        for handle in links.keys.sorted() { drop(handle, termination, &out) }
        ready.removeAll()
        pendingDisposition = nil
    }

    /// Sends whatever was held back to be joined with more of its kind.
    mutating func flushDispositions(_ out: inout ConnectionActions) {
        guard let pending = pendingDisposition else { return }
        pendingDisposition = nil
        var disposition = Disposition(
            role: .receiver, first: pending.first, last: pending.last == pending.first ? nil : pending.last)
        disposition.settled = pending.settled
        disposition.state = pending.state
        out.append(.send(channel: id.channel, .disposition(disposition), payload: nil))
    }

    // MARK: Flow

    func sessionFlow() -> Flow {
        Flow(
            nextIncomingID: nextIncomingID, incomingWindow: incomingWindow, nextOutgoingID: nextOutgoingID,
            outgoingWindow: configuration.outgoingWindow)
    }

    func flow(of link: LinkMachine) -> Flow {
        var flow = sessionFlow()
        flow.handle = link.id.handle
        switch link.role {
        case .sender:
            flow.deliveryCount = link.sender.deliveryCount
            flow.linkCredit = link.sender.credit
            flow.available = UInt32(clamping: link.sender.queue.count)
            flow.drain = link.sender.drain
        case .receiver:
            flow.deliveryCount = link.receiver.deliveryCount
            flow.linkCredit = link.receiver.credit
            flow.drain = link.receiver.drain
        }
        return flow
    }

    func send(_ flow: Flow, _ out: inout ConnectionActions) {
        out.append(.send(channel: id.channel, .flow(flow), payload: nil))
    }

    private mutating func receive(_ flow: Flow, _ out: inout ConnectionActions) {
        let seen = flow.nextIncomingID ?? initialOutgoingID
        let end = seen &+ flow.incomingWindow
        remoteIncomingWindow = UInt32(max(0, Int64(SerialNumber.distance(end, from: nextOutgoingID))))
        if flow.incomingWindow > UInt32(Int32.max) { remoteIncomingWindow = UInt32(Int32.max) }
        remoteOutgoingWindow = flow.outgoingWindow

        guard let remoteHandle = flow.handle else {
            if flow.echo { send(sessionFlow(), &out) }
            return
        }
        guard let handle = remoteHandles[remoteHandle], let link = links[handle] else {
            self.end(
                AMQPError(AMQPCondition.unattachedHandle, "flow names handle \(remoteHandle), which no link uses"), &out
            )
            return
        }
        guard link.state != .detachSent, link.state != .refused else { return }
        switch link.role {
        case .sender: receivedCredit(handle, flow, &out)
        case .receiver: receivedSenderFlow(handle, flow, &out)
        }
        if flow.echo, let link = links[handle] { send(self.flow(of: link), &out) }
    }

    private mutating func receivedCredit(_ handle: UInt32, _ flow: Flow, _ out: inout ConnectionActions) {
        guard let granted = flow.linkCredit, let link = links[handle] else { return }
        // A receiver that has not seen our attach yet cannot name a count: it means the initial one.
        let limit = (flow.deliveryCount ?? 0) &+ granted
        let credit =
            granted > UInt32(Int32.max)
            ? granted : UInt32(max(0, Int64(SerialNumber.distance(limit, from: link.sender.deliveryCount))))
        links[handle]?.sender.credit = credit
        links[handle]?.sender.drain = flow.drain
        markReady(handle)
        if link.state == .attached { out.append(.event(.credit(link.id, credit: credit, drain: flow.drain))) }
    }

    /// A sender's count runs ahead of ours only when it answers a drain.
    private mutating func receivedSenderFlow(_ handle: UInt32, _ flow: Flow, _ out: inout ConnectionActions) {
        guard let count = flow.deliveryCount, let link = links[handle], link.receiver.drain else { return }
        let skipped = SerialNumber.distance(count, from: link.receiver.deliveryCount)
        guard skipped >= 0, UInt32(skipped) <= link.receiver.credit else { return }
        links[handle]?.receiver.deliveryCount = count
        links[handle]?.receiver.credit -= UInt32(skipped)
        if link.receiver.credit == UInt32(skipped) {
            links[handle]?.receiver.drain = false
            out.append(.event(.drained(link.id)))
        }
    }
}
