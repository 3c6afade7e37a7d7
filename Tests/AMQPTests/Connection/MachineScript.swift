import NIOCore

@testable import AMQP

/// A machine under test, driven frame by frame: the test plays the peer.
struct MachineScript {
    var machine: ConnectionMachine
    var sent: [(channel: UInt16, performative: Performative, payload: ByteBuffer?)] = []
    var events: [ConnectionEvent] = []
    var heartbeats = 0
    var closesTransport = false
    var now = NIODeadline.uptimeNanoseconds(0)

    init(_ configure: (inout ConnectionConfiguration) -> Void = { _ in }) {
        var configuration = ConnectionConfiguration(containerID: "us")
        configure(&configuration)
        machine = ConnectionMachine(configuration, now: now)
    }

    /// An opened connection with one mapped session that the peer began on its channel 7.
    static func withSession(
        peerWindow: UInt32 = 1000, maxFrameSize: UInt32 = 65536,
        _ configure: (inout ConnectionConfiguration) -> Void = { _ in }
    ) -> MachineScript {
        var script = MachineScript(configure)
        var open = Open(containerID: "peer")
        open.maxFrameSize = maxFrameSize
        script.receive(.open(open), channel: 0)
        script.receive(.begin(Begin(nextOutgoingID: 10, incomingWindow: peerWindow, outgoingWindow: 1000)))
        script.sent.removeAll()
        return script
    }

    mutating func take() {
        while let action = machine.next() {
            switch action {
            case .send(let channel, let performative, let payload): sent.append((channel, performative, payload))
            case .sendHeartbeat: heartbeats += 1
            case .closeTransport: closesTransport = true
            case .event(let event): events.append(event)
            }
        }
    }

    mutating func receive(_ performative: Performative, payload: [UInt8]? = nil, channel: UInt16 = 7) {
        machine.receive(channel: channel, performative, payload: payload.map { ByteBuffer(bytes: $0) }, now: now)
        take()
    }

    mutating func pump() {
        while machine.pump(budget: 1 << 20) { take() }
        take()
    }

    var session: SessionID {
        for case .sessionBegun(let id, _, _) in events { return id }
        preconditionFailure("no session in this script")
    }

    var lastLink: LinkID {
        for event in events.reversed() {
            switch event {
            case .attachRequested(let id, _), .attached(let id, _): return id
            default: continue
            }
        }
        preconditionFailure("no link in this script")
    }

    /// The peer attaches as sender on its handle, and this side accepts.
    @discardableResult
    mutating func receiverLink(
        handle: UInt32 = 3, credit: CreditPolicy = .window(10), maxMessageSize: UInt64? = nil
    ) -> LinkID {
        var attach = Attach(name: "in\(handle)", handle: handle, role: .sender)
        attach.initialDeliveryCount = 0
        receive(.attach(attach))
        var answer = Attach(name: "", handle: 0, role: .receiver)
        answer.maxMessageSize = maxMessageSize
        machine.accept(lastLink, answer, credit: credit)
        take()
        return lastLink
    }

    /// The peer attaches as receiver with credit, and this side accepts.
    @discardableResult
    mutating func senderLink(handle: UInt32 = 4, credit: UInt32 = 100) -> LinkID {
        receive(.attach(Attach(name: "out\(handle)", handle: handle, role: .receiver)))
        let link = lastLink
        machine.accept(link, Attach(name: "", handle: 0, role: .sender))
        take()
        grant(handle, credit)
        return link
    }

    mutating func grant(
        _ handle: UInt32, _ credit: UInt32, count: UInt32 = 0, drain: Bool = false, echo: Bool = false
    ) {
        var flow = Flow(nextIncomingID: 1, incomingWindow: 1000, nextOutgoingID: 10, outgoingWindow: 1000)
        flow.handle = handle
        flow.deliveryCount = count
        flow.linkCredit = credit
        flow.drain = drain
        flow.echo = echo
        receive(.flow(flow))
    }

    mutating func queue(_ link: LinkID, _ bytes: [UInt8], settled: Bool = false) -> UInt64 {
        guard
            case .success(let token) = machine.send(
                link, OutgoingDelivery(payload: ByteBuffer(bytes: bytes), settled: settled))
        else { preconditionFailure("the link takes deliveries") }
        return token
    }

    static func transfer(_ handle: UInt32, _ id: UInt32?, more: Bool = false, settled: Bool? = nil) -> Performative {
        var transfer = Transfer(handle: handle)
        transfer.deliveryID = id
        transfer.deliveryTag = id.map { ByteBuffer(integer: $0) }
        transfer.more = more
        transfer.settled = settled
        return .transfer(transfer)
    }

    static func disposition(
        _ first: UInt32, _ last: UInt32? = nil, _ state: DeliveryState?, settled: Bool = true,
        role: LinkRole = .receiver
    ) -> Performative {
        var disposition = Disposition(role: role, first: first, last: last)
        disposition.state = state
        disposition.settled = settled
        return .disposition(disposition)
    }

    var transfers: [Transfer] {
        sent.compactMap { if case .transfer(let value) = $0.performative { value } else { nil } }
    }
    var flows: [Flow] { sent.compactMap { if case .flow(let value) = $0.performative { value } else { nil } } }
    var dispositions: [Disposition] {
        sent.compactMap { if case .disposition(let value) = $0.performative { value } else { nil } }
    }
    var detaches: [Detach] { sent.compactMap { if case .detach(let value) = $0.performative { value } else { nil } } }
    var ends: [End] { sent.compactMap { if case .end(let value) = $0.performative { value } else { nil } } }
    var closes: [Close] { sent.compactMap { if case .close(let value) = $0.performative { value } else { nil } } }
    var results: [DeliveryResult] {
        events.compactMap { if case .result(_, _, let result) = $0 { result } else { nil } }
    }
    var deliveries: [IncomingDelivery] {
        events.compactMap { if case .delivery(_, let delivery) = $0 { delivery } else { nil } }
    }
}
