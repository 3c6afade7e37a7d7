package import NIOCore
internal import NIOPosix
package import OpenSSLTransport

/// Connects to a peer on whatever way a route describes: TCP, an HTTP proxy, TLS, a WebSocket.
package enum Dialer {
    /// A channel whose pipeline carries plain bytes, `ByteBuffer` in and out. Every step has its deadline. Fails with
    /// `DialError`, or with what `attach` throws.
    ///
    /// - Parameter attach: adds the caller's handlers to the end of the pipeline at once, on `eventLoop`: the peer's first
    ///   bytes may have come with its last answer, and go to them as soon as it returns. When it throws, the channel is
    ///   closed.
    package static func dial<Attached: Sendable>(
        _ route: Route, on eventLoop: any EventLoop, attach: @escaping @Sendable (any Channel) throws -> Attached
    ) -> EventLoopFuture<Attached> {
        Dial(route, eventLoop, attach).start()
    }

    /// Goes that way once, and closes the connection: what TLS has agreed on at its end; nil where there is none. Fails with
    /// `DialError`.
    package static func probe(_ route: Route, on eventLoop: any EventLoop) -> EventLoopFuture<TLSSession?> {
        dial(route, on: eventLoop) { channel in
            let session = try? channel.pipeline.syncOperations.handler(type: TLSHandler.self).session
            channel.close(promise: nil)
            return session
        }
    }
}

/// One attempt. All state is touched on the event loop, hence `@unchecked Sendable`.
private final class Dial<Attached: Sendable>: @unchecked Sendable {
    private let route: Route
    private let eventLoop: any EventLoop
    private let attach: (any Channel) throws -> Attached
    private let promise: EventLoopPromise<Attached>
    /// What the deadline would interrupt.
    private var step = DialError.Step.connect
    private var isOver = false
    /// It has its answer, and keeps what comes until there is a handler behind it.
    private var answered: HTTPHeadExchange?

    init(_ route: Route, _ eventLoop: any EventLoop, _ attach: @escaping (any Channel) throws -> Attached) {
        self.route = route
        self.eventLoop = eventLoop
        self.attach = attach
        promise = eventLoop.makePromise()
    }

    func start() -> EventLoopFuture<Attached> {
        let hosts = [route.host, route.proxy?.host, route.webSocket?.host].compactMap { $0 }
        if let host = hosts.first(where: { !HostPort.isSound($0) }) {
            let text = "\"\(PeerText.printable(host))\" is no host name or address"
            promise.fail(DialError(.connect, text, isPermanent: true))
            return promise.futureResult
        }
        let (host, port) = (route.proxy?.host ?? route.host, route.proxy?.port ?? route.port)
        connect(to: host, port).hop(to: eventLoop).whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel)
            case .failure(let error):
                let place = self.route.proxy.map { "proxy \($0.place)" } ?? self.route.place
                let text = "cannot connect to \(place): \(ConnectFailure.text(error))"
                self.promise.fail(DialError(.connect, text))
            }
        }
        return promise.futureResult
    }

    private func connect(to host: String, _ port: Int) -> EventLoopFuture<any Channel> {
        if let connector = route.connector {
            return connector(host, port, TimeAmount(route.connectTimeout), eventLoop)
        }
        var bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(route.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 512 * 1024, high: 1024 * 1024))
        if let stall = route.stallTimeout {
            let milliseconds = Int(clamping: min(max(1, TimeAmount(stall).nanoseconds / 1_000_000), Int64(Int32.max)))
            bootstrap = bootstrap.channelOption(.tcpOption(Self.tcpUserTimeout), value: milliseconds)
        }
        return bootstrap.connect(host: host, port: port)
    }

    /// Linux's number, which NIO does not name.
    private static var tcpUserTimeout: NIOBSDSocket.Option { NIOBSDSocket.Option(rawValue: 18) }

    private func connected(_ channel: any Channel) {
        let limit = TimeAmount(route.handshakeTimeout)
        let deadline = eventLoop.scheduleTask(in: limit) {
            self.finish(channel, .failure(self.interrupted(after: limit)))
        }
        passProxy(channel).flatMap { self.startTLS(channel) }.flatMap { self.upgrade(channel) }.whenComplete { result in
            deadline.cancel()
            self.finish(channel, result)
        }
    }

    private func finish(_ channel: any Channel, _ result: Result<Void, any Error>) {
        guard !isOver else { return }
        isOver = true
        switch result {
        case .success:
            do {
                promise.succeed(try attach(channel))
                release(channel)
            } catch {
                promise.fail(error)
                channel.close(promise: nil)
            }
        case .failure(let error):
            promise.fail(error as? DialError ?? DialError(step, "\(route.place): \(ConnectFailure.text(error))"))
            channel.close(promise: nil)
        }
    }

    private func interrupted(after limit: TimeAmount) -> DialError {
        switch step {
        case .connect, .tls: DialError(.tls, "no TLS session with \(route.place) within \(limit.text)")
        case .proxy:
            DialError(
                .proxy, "proxy \(route.proxy?.place ?? "") did not answer CONNECT \(route.place) in \(limit.text)")
        case .webSocket: DialError(.webSocket, "\(route.place) did not become a WebSocket within \(limit.text)")
        }
    }

    // MARK: Steps

    /// What came behind an answer is for the handler that was added since.
    private func release(_ channel: any Channel) {
        guard let handler = answered else { return }
        answered = nil
        channel.pipeline.syncOperations.removeHandler(handler, promise: nil)
    }

    private func passProxy(_ channel: any Channel) -> EventLoopFuture<Void> {
        guard let proxy = route.proxy else { return eventLoop.makeSucceededVoidFuture() }
        step = .proxy
        let connect = ProxyConnect(proxy: proxy, target: route.place)
        return exchange(connect.request, on: channel).flatMapThrowing { try connect.check($0) }.flatMapErrorThrowing {
            throw connect.error($0)
        }
    }

    private func startTLS(_ channel: any Channel) -> EventLoopFuture<Void> {
        guard let context = route.tls else { return eventLoop.makeSucceededVoidFuture() }
        step = .tls
        let handshake = eventLoop.makePromise(of: TLSSession.self)
        do {
            let handler = try TLSHandler(client: context, serverName: route.serverName, handshake: handshake)
            try channel.pipeline.syncOperations.addHandler(handler)
            release(channel)
        } catch {
            handshake.fail(error)
        }
        return handshake.futureResult.map { _ in }.flatMapErrorThrowing { error in
            let isOurs = if case TLSError.configuration? = error as? TLSError { true } else { false }
            let text = "cannot connect to \(self.route.place): \(ConnectFailure.text(error))"
            throw DialError(.tls, text, isPermanent: isOurs)
        }
    }

    private func upgrade(_ channel: any Channel) -> EventLoopFuture<Void> {
        guard let webSocket = route.webSocket else { return eventLoop.makeSucceededVoidFuture() }
        step = .webSocket
        let upgrade = WebSocketUpgrade(webSocket, place: route.place)
        return exchange(upgrade.request, on: channel).flatMapThrowing { head in
            try upgrade.check(head)
            try channel.pipeline.syncOperations.addHandler(WebSocketBytesHandler(.client))
        }.flatMapErrorThrowing { throw upgrade.error($0) }
    }

    private func exchange(_ request: ByteBuffer, on channel: any Channel) -> EventLoopFuture<HTTPHead> {
        let answer = eventLoop.makePromise(of: HTTPHead.self)
        let handler = HTTPHeadExchange(request, answer: answer)
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
            release(channel)
            answered = handler
        } catch {
            answer.fail(error)
        }
        return answer.futureResult
    }
}
