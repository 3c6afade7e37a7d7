/// The protocol headers and the SASL dialogue before `open` (part 2, section 2.2; part 5, section 5.3), for both sides.
struct HandshakeMachine {
    enum Action: Hashable {
        case sendHeader(ProtocolHeader)
        case sendSASL(SASLFrame)
        /// Server: judge this identity, then call `decide`.
        case authenticate(SASLIdentity)
        /// AMQP frames may be sent from now on.
        case ready
        /// The handshake cannot succeed any more; what was sent before this shall still go out.
        case failed(AMQPError)
    }

    private enum State {
        case idle
        /// Client: our SASL header is out. Server: waiting for the first header.
        case waitingForHeader
        case sasl
        /// Client: SASL is over (or not wanted) and our AMQP header is out. Server: SASL is over.
        case waitingForAMQPHeader
        case done
        case failed
    }

    private enum Side {
        case client(SASLClientStateMachine?)
        case server(SASLServerStateMachine, allowsNoSASL: Bool)
    }

    private var state = State.idle
    private var side: Side

    /// A client; without credential it goes straight to AMQP.
    init(client credential: SASLCredential?, hostname: String?) {
        side = .client(credential.map { SASLClientStateMachine($0, hostname: hostname) })
    }

    /// A server. `allowsNoSASL`: a client that starts with the AMQP header is let in.
    init(serverMechanisms mechanisms: [String], allowsNoSASL: Bool) {
        side = .server(SASLServerStateMachine(mechanisms: mechanisms), allowsNoSASL: allowsNoSASL)
    }

    var isDone: Bool { state == .done }

    mutating func start() -> [Action] {
        precondition(state == .idle, "a handshake starts once")
        switch side {
        case .client(.some):
            state = .waitingForHeader
            return [.sendHeader(.sasl)]
        case .client(.none):
            state = .waitingForAMQPHeader
            return [.sendHeader(.amqp), .ready]
        case .server:
            state = .waitingForHeader
            return []
        }
    }

    mutating func received(_ header: ProtocolHeader) -> [Action] {
        switch (state, side) {
        case (.waitingForHeader, .client):
            guard header == .sasl else { return fail("the server answered \(header) to a request for SASL") }
            state = .sasl
            return []
        case (.waitingForAMQPHeader, .client):
            guard header == .amqp else { return fail("the server answered \(header) to a request for AMQP 1.0.0") }
            state = .done
            return []
        case (.waitingForHeader, .server(var sasl, let allowsNoSASL)):
            if header == .sasl {
                guard case .send(let frame) = sasl.start() else { return fail("SASL did not start") }
                side = .server(sasl, allowsNoSASL: allowsNoSASL)
                state = .sasl
                return [.sendHeader(.sasl), .sendSASL(frame)]
            }
            guard header == .amqp, allowsNoSASL else {
                // Part 2, section 2.2: answer with what would be welcome, and close.
                return [.sendHeader(.sasl)] + fail("the client asked for \(header); this server starts with SASL")
            }
            state = .done
            return [.sendHeader(.amqp), .ready]
        case (.waitingForAMQPHeader, .server):
            guard header == .amqp else {
                return [.sendHeader(.amqp)] + fail("the client asked for \(header) after SASL")
            }
            state = .done
            return [.sendHeader(.amqp), .ready]
        default: return fail("a protocol header \(header) out of turn")
        }
    }

    mutating func received(_ frame: SASLFrame) -> [Action] {
        guard state == .sasl else { return fail("\(frame) out of turn") }
        switch side {
        case .client(var sasl?):
            let action = sasl.received(frame)
            side = .client(sasl)
            switch action {
            case .send(let answer): return [.sendSASL(answer)]
            case .succeeded:
                state = .waitingForAMQPHeader
                return [.sendHeader(.amqp), .ready]
            case .failed(let error):
                state = .failed
                return [.failed(AMQPError(AMQPCondition.unauthorizedAccess, error.message))]
            }
        case .client(nil): return fail("\(frame) though no SASL was asked for")
        case .server(var sasl, let allowsNoSASL):
            let action = sasl.received(frame)
            side = .server(sasl, allowsNoSASL: allowsNoSASL)
            return perform(action)
        }
    }

    /// The verdict on the identity that `authenticate` showed.
    mutating func decide(_ code: SASLCode) -> [Action] {
        guard state == .sasl, case .server(var sasl, let allowsNoSASL) = side else { return [] }
        let action = sasl.decide(code)
        side = .server(sasl, allowsNoSASL: allowsNoSASL)
        return perform(action)
    }

    private mutating func perform(_ action: SASLServerStateMachine.Action) -> [Action] {
        switch action {
        case .send(let frame): return [.sendSASL(frame)]
        case .authenticate(let identity): return [.authenticate(identity)]
        case .sendAndSucceed(let frame):
            state = .waitingForAMQPHeader
            return [.sendSASL(frame)]
        case .sendAndFail(let frame, let error):
            state = .failed
            return [.sendSASL(frame), .failed(AMQPError(AMQPCondition.unauthorizedAccess, error.message))]
        }
    }

    private mutating func fail(_ text: String) -> [Action] {
        state = .failed
        return [.failed(AMQPError(AMQPCondition.framingError, text))]
    }
}
