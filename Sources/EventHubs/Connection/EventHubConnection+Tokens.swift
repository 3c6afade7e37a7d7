internal import AMQP
internal import Logging
internal import NIOCore
internal import Transports

/// Tokens: acquired within a deadline, put on `$cbs`, renewed by a timer of their own, explained when refused.
extension EventHubConnection {
    /// What is left of the authorisation deadline that began at `start`; nil: there is none.
    func authorizationLimit(since start: NIODeadline) -> TimeAmount? {
        guard options.authorizationTimeout > .zero else { return nil }
        return max(.milliseconds(1), TimeAmount(options.authorizationTimeout) - (eventLoop.now - start))
    }

    /// For an authorisation that begins now.
    var wholeAuthorizationLimit: TimeAmount? {
        options.authorizationTimeout > .zero ? TimeAmount(options.authorizationTimeout) : nil
    }

    /// A token for the hub; fails with `EventHubsError`, at the latest when the deadline has passed.
    func acquireToken(
        renewing: Bool = false, limit: TimeAmount? = nil, _ doing: String = "getting a token"
    ) -> EventLoopFuture<AccessToken> {
        let credential = endpoint.credential
        let token = credential.token(
            for: endpoint.audience, now: options.wallSeconds(), lifetime: options.tokenSeconds, renewing: renewing,
            on: eventLoop, executor: options.executor)
        guard let limit else { return token }
        return withDeadline(token, limit, "\(doing) from \(credential)")
    }

    /// - Parameter start: when the authorisation, of which acquiring the token was a part, began.
    func put(_ token: AccessToken, _ established: Established, since start: NIODeadline) -> EventLoopFuture<Void> {
        var message = AMQPMessage(body: .value(.string(token.value)))
        message.applicationProperties = AMQPMap([
            .init(.string("name"), .string(endpoint.audience)),
            .init(.string("operation"), .string("put-token")),
            .init(.string("type"), .string(token.type)),
        ])
        if let expiry = token.expiry {
            let (milliseconds, overflow) = expiry.multipliedReportingOverflow(by: 1000)
            if !overflow { message.applicationProperties[string: "expiration"] = .timestamp(milliseconds) }
        }
        let doing = "authorising for \(endpoint.audience)"
        let request = message
        return cbs(established).flatMap { link in
            let limit = self.authorizationLimit(since: start) ?? .hours(24 * 365)
            return link.request(request, deadline: limit, doing)
        }.flatMapThrowing { answer in
            try answer.checkStatus(doing)
            established.authorized = self.eventLoop.now
            established.token = token
            if let renewal = token.renewal {
                self.scheduleRenewal(established, in: TimeAmount(renewal))
            } else {
                self.watchExpiry(established, token)
            }
        }.flatMapErrorThrowing { error in
            guard let error = error as? EventHubsError, error.code == .unauthorized else { throw error }
            self.endpoint.credential.refused(token)
            throw TokenRefusal.explained(error, token, now: self.options.wallSeconds())
        }
    }

    /// The link pair to `$cbs`, attached anew when the service took it away.
    private func cbs(_ established: Established) -> EventLoopFuture<RequestResponseLink> {
        guard established.cbs.isOver else { return eventLoop.makeSucceededFuture(established.cbs) }
        return withDeadline(
            RequestResponseLink.open(established.session, address: EventHubsName.cbs),
            TimeAmount(options.attachTimeout), "attaching a link to \(EventHubsName.cbs)"
        ).map { link in
            established.cbs = link
            return link
        }
    }

    // MARK: Renewal

    private func scheduleRenewal(_ established: Established, in wait: TimeAmount) {
        established.renewal?.cancel()
        guard !established.isOver else { return }
        established.renewal = eventLoop.scheduleTask(in: wait) { self.renew(established) }
    }

    private func renew(_ established: Established) {
        let start = eventLoop.now
        acquireToken(renewing: true, limit: wholeAuthorizationLimit).flatMap { token in
            guard token.value != established.token?.value else {
                // The issuer has no newer one yet.
                self.scheduleRenewal(
                    established, in: max(self.renewalSpacing(token), TimeAmount(token.renewal ?? .zero)))
                return self.eventLoop.makeSucceededVoidFuture()
            }
            return self.put(token, established, since: start)
        }.whenFailure { error in
            guard !established.isOver else { return }
            let wait = established.token.map(self.renewalSpacing) ?? .seconds(10)
            self.logger.warning(
                "the token could not be renewed; trying again",
                metadata: [
                    "error": "\(error)", "again-in": "\(wait.text)",
                    "expires": "\(established.token?.expiry.map { UTCTime.text($0) } ?? "unknown")",
                ])
            // When the token has ended the service would refuse whatever is sent, and nobody would be told why there is no
            // other: a new connection begins with a new token, or with the reason.
            if case .issuer? = established.token?.origin, let expiry = established.token?.expiry,
                expiry - self.options.wallSeconds() <= 1
            {
                self.giveUp(established)
            } else {
                self.scheduleRenewal(established, in: wait)
            }
        }
    }

    private func renewalSpacing(_ token: AccessToken) -> TimeAmount {
        let left = token.expiry.map { max(0, $0 - options.wallSeconds()) } ?? 0
        return TimeAmount(TokenCacheMachine<EventHubsToken>.retryDelay(left: .seconds(min(left, 3600))))
    }

    /// A link was refused for want of rights: a new token may help. At most one every ten seconds.
    func renewAfterRefusal() {
        guard let established = current, endpoint.credential.canRenew,
            eventLoop.now - established.authorized > .seconds(10)
        else { return }
        established.authorized = self.eventLoop.now
        if let token = established.token { endpoint.credential.refused(token) }
        established.token = nil
        renew(established)
    }

    // MARK: Signatures that cannot be renewed

    /// Warns an hour and five minutes before the end, and says when it has come.
    private func watchExpiry(_ established: Established, _ token: AccessToken) {
        guard let expiry = token.expiry, !established.isOver else { return }
        let left = expiry - options.wallSeconds()
        let notice = SignatureNotice(left: left)
        if notice.rawValue > signatureNotice.rawValue {
            signatureNotice = notice
            let metadata: Logger.Metadata = ["expires": "\(UTCTime.text(expiry))", "seconds-left": "\(max(0, left))"]
            if notice == .over {
                logger.error(
                    "the shared access signature has expired: the service takes nothing more; give a new one, or the key",
                    metadata: metadata)
            } else {
                logger.warning(
                    "the shared access signature expires in \(left) s and cannot be renewed; give a new one, or the key",
                    metadata: metadata)
            }
        }
        guard let wait = notice.wait(left: left) else { return }
        established.renewal?.cancel()
        established.renewal = eventLoop.scheduleTask(in: .seconds(wait)) { self.watchExpiry(established, token) }
    }
}

/// How near a signature's end is.
enum SignatureNotice: Int {
    case none, hour, minutes, over

    init(left: Int64) {
        self = left <= 0 ? .over : left <= 300 ? .minutes : left <= 3600 ? .hour : .none
    }

    /// Seconds until the next notice is due, at most a day at a time.
    func wait(left: Int64) -> Int64? {
        switch self {
        case .none: min(left - 3600, 86400)
        case .hour: left - 300
        case .minutes: left
        case .over: nil
        }
    }
}
