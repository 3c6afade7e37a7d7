package import NIOCore
internal import Transports

/// One connection to a broker: the handshake, questions and their answers, signs of life, fresh credentials. Sections 3.1
/// and 3.5 of the protocol notes. No IO and no clock: what happens comes in with its time, what to do goes out.
package struct ConnectionMachine: Sendable {
    package struct Configuration: Sendable {
        /// Host and port, for messages.
        package var place: String
        /// `host:port` of the broker that is wanted behind a proxy.
        package var proxyToBroker: String?
        package var connectionTimeout: TimeAmount = .seconds(10)
        package var authenticationTimeout: TimeAmount = .seconds(30)
        package var keepAliveInterval: TimeAmount = .seconds(30)
        /// Nil: an unused connection stays.
        package var idleTimeout: TimeAmount?
        package var lookupLimit = 50_000

        package init(place: String) { self.place = place }
    }

    /// What is to be done about an event.
    package enum Action: Equatable, Sendable {
        case nothing
        case send(Command)
        /// The broker has let us in.
        case opened
        /// Credentials are wanted again; not those that were sent before.
        case fetchCredentials
        case answer(request: UInt64, Result<Command, PulsarError>)
        /// For a producer: SEND_RECEIPT, SEND_ERROR, CLOSE_PRODUCER, TOPIC_MIGRATED, or the PRODUCER_SUCCESS that ends its
        /// wait for the topic.
        case route(producer: UInt64, Command)
        /// Something that the protocol does not need, for the log.
        case note(String)
        /// The last action. Everything that was asked fails, every producer is told.
        case close(PulsarError, unanswered: [UInt64])
    }

    private enum Phase: Equatable {
        /// TCP and TLS.
        case connecting
        /// CONNECT is sent.
        case greeting
        case open
        case closed
    }

    private struct Request {
        enum Kind: Equatable {
            case producer(UInt64)
            case closeProducer(UInt64)
            case partitions
            case lookup
        }

        var kind: Kind
        var deadline: NIODeadline
    }

    /// What this client announces: the version with TOPIC_MIGRATED, which producers handle.
    package static let protocolVersion: Int32 = 20
    /// What this client calls itself; brokers show it in their statistics.
    package static let clientVersion = "tailrace/1"
    /// From here on brokers know PING.
    private static let pingVersion: Int32 = 1

    package let configuration: Configuration
    private var phase = Phase.connecting
    private var requests: [UInt64: Request] = [:]
    private var lookups = 0
    private var nextRequestID: UInt64 = 0
    /// Producers that the broker may send something to.
    private var producers: Set<UInt64> = []
    /// Producers that wait for their topic to be theirs alone, by the request that they were opened with.
    private var queued: [UInt64: UInt64] = [:]
    /// The last credentials sent: none of them may show in an error.
    private var credentials: AuthData?

    /// The end of the handshake's time, then of the time to get fresh credentials.
    private var credentialDeadline: NIODeadline?
    private var handshakeDeadline: NIODeadline?
    private var pingDeadline: NIODeadline?
    private var idleDeadline: NIODeadline?
    /// Not later than any request's; may be earlier than all of them.
    private var requestDeadline: NIODeadline?
    /// A PING is out, and nothing has come since.
    private var isSilent = false

    /// Bytes of metadata and payload that this broker takes in one SEND.
    package private(set) var maximumMessageSize = FrameDecoder.defaultMaximumMessageSize
    /// The smaller of the broker's and ours; 0 before the handshake ended.
    package private(set) var protocolVersion: Int32 = 0
    /// What the broker calls itself.
    package private(set) var serverVersion = ""

    package init(_ configuration: Configuration, now: NIODeadline) {
        self.configuration = configuration
        handshakeDeadline = now + configuration.connectionTimeout
    }

    package var isOpen: Bool { phase == .open }
    package var isClosed: Bool { phase == .closed }

    /// When `timePassed` must be called; nil: nothing is awaited.
    package var nextDeadline: NIODeadline? {
        var next: NIODeadline?
        for deadline in [handshakeDeadline, credentialDeadline, pingDeadline, idleDeadline, requestDeadline] {
            guard let deadline else { continue }
            next = next.map { min($0, deadline) } ?? deadline
        }
        return next
    }

    // MARK: The handshake

    /// Bytes can be sent now.
    package mutating func connected(_ credentials: AuthData) -> Action {
        guard phase == .connecting else { return .nothing }
        phase = .greeting
        self.credentials = credentials
        return .send(
            .connect(
                ConnectCommand(
                    clientVersion: Self.clientVersion, authData: credentials.authData,
                    protocolVersion: Self.protocolVersion, authMethodName: credentials.authMethodName,
                    proxyToBrokerURL: configuration.proxyToBroker,
                    featureFlags: FeatureFlags(supportsAuthRefresh: true))))
    }

    private mutating func greeted(_ command: Command, _ now: NIODeadline) -> Action {
        switch command {
        case .connected(let connected):
            phase = .open
            handshakeDeadline = nil
            serverVersion = PeerText.printable(connected.serverVersion)
            protocolVersion = min(max(0, connected.protocolVersion ?? 0), Self.protocolVersion)
            if let size = connected.maxMessageSize, size > 0 { maximumMessageSize = Int(size) }
            if protocolVersion >= Self.pingVersion { pingDeadline = now + configuration.keepAliveInterval }
            noticeUse(now)
            return .opened
        case .error(let error):
            return close(
                PulsarError(error.error, concealed(error.message), doing: "connecting to \(configuration.place)"))
        case .authChallenge: return challenged(now)
        case .ping: return .send(.pong)
        case .pong: return .nothing
        case .unknown(let type): return .note("passed over command \(type), which this client does not know")
        default:
            return close(
                violation("command \(command.type) came before CONNECTED; check that a Pulsar broker listens there"))
        }
    }

    private func concealed(_ text: String) -> String {
        guard let secret = credentials?.authData.map({ String(decoding: $0, as: UTF8.self) }), secret.utf8.count > 3
        else { return text }
        return text.replacing(secret, with: "…")
    }

    private mutating func challenged(_ now: NIODeadline) -> Action {
        guard credentialDeadline == nil else { return .nothing }
        credentialDeadline = now + configuration.authenticationTimeout
        return .fetchCredentials
    }

    /// The answer to `fetchCredentials`.
    package mutating func fetched(_ result: Result<AuthData, PulsarError>) -> Action {
        guard phase != .closed, credentialDeadline != nil else { return .nothing }
        credentialDeadline = nil
        switch result {
        case .failure(let error): return close(error)
        case .success(let data):
            credentials = data
            var response = data
            // Absent in CONNECT, but an AUTH_RESPONSE always has some.
            response.authData = data.authData ?? []
            return .send(
                .authResponse(
                    AuthResponseCommand(
                        clientVersion: Self.clientVersion, response: response, protocolVersion: Self.protocolVersion)))
        }
    }

    /// The credentials that the broker was given last.
    package var lastCredentials: AuthData? { credentials }

    // MARK: What comes

    package mutating func received(_ command: Command, now: NIODeadline) -> Action {
        switch phase {
        case .connecting, .closed: return .nothing
        case .greeting: return greeted(command, now)
        case .open: break
        }
        if command != .ping { isSilent = false }
        switch command {
        case .sendReceipt(let receipt): return .route(producer: receipt.producerID, command)
        case .sendError(let error): return .route(producer: error.producerID, command)
        case .closeProducer(let close):
            ended(close.producerID, now)
            return .route(producer: close.producerID, command)
        case .topicMigrated(let migrated):
            guard migrated.resourceType == .producer else { return unexpected("TOPIC_MIGRATED for no producer") }
            ended(migrated.resourceID, now)
            return .route(producer: migrated.resourceID, command)
        case .producerSuccess(let success): return opened(success, command, now)
        case .success(let success):
            guard case .closeProducer? = requests[success.requestID]?.kind else {
                return unexpected("SUCCESS \(success.requestID)")
            }
            return answer(success.requestID, .success(command), now)
        case .partitionedMetadataResponse(let response):
            guard requests[response.requestID]?.kind == .partitions else {
                return unexpected("PARTITIONED_METADATA_RESPONSE \(response.requestID)")
            }
            return answer(response.requestID, .success(command), now)
        case .lookupResponse(let response):
            guard requests[response.requestID]?.kind == .lookup else {
                return unexpected("LOOKUP_RESPONSE \(response.requestID)")
            }
            return answer(response.requestID, .success(command), now)
        case .error(let error): return refused(error, now)
        case .ping: return .send(.pong)
        case .pong: return .nothing
        case .authChallenge: return challenged(now)
        case .unknown(let type): return .note("passed over command \(type), which this client does not know")
        default: return unexpected("command \(command.type)")
        }
    }

    private func unexpected(_ what: String) -> Action { .note("passed over \(what), which answers nothing asked") }

    private mutating func opened(_ success: ProducerSuccessCommand, _ command: Command, _ now: NIODeadline) -> Action {
        if let producer = queued[success.requestID] {
            guard success.producerReady != false else { return .nothing }
            queued[success.requestID] = nil
            return .route(producer: producer, command)
        }
        guard case .producer(let producer)? = requests[success.requestID]?.kind else {
            return unexpected("PRODUCER_SUCCESS \(success.requestID)")
        }
        producers.insert(producer)
        if success.producerReady == false { queued[success.requestID] = producer }
        return answer(success.requestID, .success(command), now)
    }

    private mutating func refused(_ error: ErrorCommand, _ now: NIODeadline) -> Action {
        if let producer = queued.removeValue(forKey: error.requestID) {
            // The wait for the topic is over without success: the broker has no such producer any more.
            ended(producer, now)
            return .route(
                producer: producer,
                .closeProducer(CloseProducerCommand(producerID: producer, requestID: error.requestID)))
        }
        guard let request = requests[error.requestID] else { return unexpected("ERROR \(error.requestID)") }
        return answer(error.requestID, .failure(PulsarError(error.error, error.message, doing: doing(request))), now)
    }

    private func doing(_ request: Request) -> String {
        let what =
            switch request.kind {
            case .producer(let id): "making producer \(id)"
            case .closeProducer(let id): "closing producer \(id)"
            case .partitions: "asking for partitions"
            case .lookup: "looking up a topic"
            }
        return "\(what) on \(configuration.place)"
    }

    private mutating func answer(
        _ id: UInt64, _ result: Result<Command, PulsarError>, _ now: NIODeadline
    ) -> Action {
        forget(id)
        noticeUse(now)
        return .answer(request: id, result)
    }

    private mutating func forget(_ id: UInt64) {
        guard let request = requests.removeValue(forKey: id) else { return }
        switch request.kind {
        case .lookup, .partitions: lookups -= 1
        case .closeProducer(let producer): producers.remove(producer)
        case .producer: break
        }
    }

    // MARK: Questions

    /// - Parameter command: a PRODUCER, CLOSE_PRODUCER, PARTITIONED_METADATA or LOOKUP; its request id is chosen here.
    /// - Returns: the request's id, and what to send.
    package mutating func ask(
        _ command: Command, deadline: NIODeadline, now: NIODeadline
    ) throws(PulsarError) -> (id: UInt64, command: Command) {
        guard phase == .open else {
            throw PulsarError(.connectionLost, "the connection to \(configuration.place) is closed")
        }
        let id = nextRequestID
        let kind: Request.Kind
        var command = command
        switch command {
        case .producer(var producer):
            kind = .producer(producer.producerID)
            producer.requestID = id
            command = .producer(producer)
        case .closeProducer(var close):
            kind = .closeProducer(close.producerID)
            close.requestID = id
            command = .closeProducer(close)
            queued = queued.filter { $0.value != close.producerID }
        case .partitionedMetadata(var question):
            kind = .partitions
            question.requestID = id
            command = .partitionedMetadata(question)
        case .lookup(var question):
            kind = .lookup
            question.requestID = id
            command = .lookup(question)
        default: preconditionFailure("command \(command.type) is no question")
        }
        if kind == .lookup || kind == .partitions {
            guard lookups < configuration.lookupLimit else {
                throw PulsarError(
                    .tooManyLookups,
                    "\(lookups) questions about topics are under way on the connection to \(configuration.place); at most"
                        + " \(configuration.lookupLimit) may be")
            }
            lookups += 1
        }
        nextRequestID += 1
        requests[id] = Request(kind: kind, deadline: deadline)
        requestDeadline = requestDeadline.map { min($0, deadline) } ?? deadline
        idleDeadline = nil
        return (id, command)
    }

    /// The producer is of no interest any more, whether or not the broker knows it.
    package mutating func ended(_ producer: UInt64, _ now: NIODeadline) {
        producers.remove(producer)
        if !queued.isEmpty { queued = queued.filter { $0.value != producer } }
        noticeUse(now)
    }

    /// Somebody is about to use this connection.
    package mutating func touch(_ now: NIODeadline) {
        idleDeadline = nil
        noticeUse(now)
    }

    private mutating func noticeUse(_ now: NIODeadline) {
        guard phase == .open, producers.isEmpty, requests.isEmpty, let timeout = configuration.idleTimeout else {
            idleDeadline = nil
            return
        }
        if idleDeadline == nil { idleDeadline = now + timeout }
    }

    // MARK: Time

    /// Does everything that is due.
    package mutating func timePassed(_ now: NIODeadline) -> [Action] {
        guard phase != .closed else { return [] }
        if let deadline = handshakeDeadline, deadline <= now {
            let text = configuration.connectionTimeout.text
            let what =
                phase == .connecting
                ? "no connection to \(configuration.place) within \(text)"
                : "\(configuration.place) has not answered CONNECT within \(text); check that a Pulsar broker listens there"
            return [close(PulsarError(.connectFailed, what))]
        }
        if let deadline = credentialDeadline, deadline <= now {
            return [
                close(
                    PulsarError(
                        .credentialsUnavailable,
                        "no fresh credentials for \(configuration.place) within \(configuration.authenticationTimeout.text)"
                    ))
            ]
        }
        if let deadline = idleDeadline, deadline <= now {
            return [
                close(
                    PulsarError(.connectionLost, "the connection to \(configuration.place) was closed: nothing used it")
                )
            ]
        }
        var actions: [Action] = []
        if let deadline = pingDeadline, deadline <= now {
            guard !isSilent else {
                let text = configuration.keepAliveInterval.text
                return [
                    close(
                        PulsarError(
                            .connectionLost, "\(configuration.place) gave no sign of life within \(text) of a PING"))
                ]
            }
            isSilent = true
            pingDeadline = now + configuration.keepAliveInterval
            actions.append(.send(.ping))
        }
        if let deadline = requestDeadline, deadline <= now { expire(now, &actions) }
        return actions
    }

    private mutating func expire(_ now: NIODeadline, _ actions: inout [Action]) {
        for id in requests.filter({ $0.value.deadline <= now }).keys.sorted() {
            guard let request = requests[id] else { continue }
            forget(id)
            actions.append(
                .answer(
                    request: id,
                    .failure(PulsarError(.timeout, "\(doing(request)): no answer in time; check the broker's health"))))
            guard case .producer(let producer) = request.kind else { continue }
            // The broker may be about to make it: it shall not keep a producer that nobody has.
            let close = CloseProducerCommand(producerID: producer, requestID: nextRequestID)
            nextRequestID += 1
            actions.append(.send(.closeProducer(close)))
        }
        requestDeadline = requests.values.map(\.deadline).min()
        noticeUse(now)
    }

    // MARK: The end

    /// What came is no frame of the protocol.
    package mutating func malformed(_ error: WireError) -> Action {
        guard phase != .closed else { return .nothing }
        let hint =
            phase == .open ? "" : "; check that a Pulsar broker listens there, with TLS or without as the URL says"
        return close(violation("\(error)\(hint)"))
    }

    private func violation(_ what: String) -> PulsarError {
        PulsarError(.protocolViolation, "\(configuration.place) does not speak Pulsar's protocol: \(what)")
    }

    /// The connection could not be made, or ended.
    ///
    /// - Parameter reason: nil: the peer closed it.
    package mutating func transportEnded(_ reason: PulsarError?) -> Action {
        let wasOpen = phase == .open
        let usual = PulsarError(
            wasOpen ? .connectionLost : .connectFailed,
            wasOpen
                ? "\(configuration.place) closed the connection"
                : "\(configuration.place) closed the connection during the handshake; check that a Pulsar broker listens"
                    + " there, with TLS or without as the URL says")
        return close(reason ?? usual)
    }

    package mutating func close(_ error: PulsarError) -> Action {
        guard phase != .closed else { return .nothing }
        phase = .closed
        let unanswered = requests.keys.sorted()
        requests = [:]
        producers = []
        queued = [:]
        lookups = 0
        (handshakeDeadline, credentialDeadline, pingDeadline) = (nil, nil, nil)
        (idleDeadline, requestDeadline) = (nil, nil)
        return .close(error, unanswered: unanswered)
    }
}
