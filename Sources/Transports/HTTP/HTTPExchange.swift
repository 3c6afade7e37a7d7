package import NIOCore
internal import NIOHTTP1
package import OpenSSLTransport

/// One request over a connection of its own, and its response. Redirects are answers like others.
package enum HTTPExchange {
    /// Bytes of the fields in a response's head.
    package static let headLimit = 64 << 10

    /// - Parameters:
    ///   - tls: for `https`; nil refuses such URLs.
    ///   - proxy: asked to `CONNECT` for `https`, and for the whole URL for `http`.
    ///   - deadline: from the call to the last byte of the response.
    ///   - bodyLimit: bytes of the response's body.
    /// - Throws: `HTTPError`; of kind `cancelled` when the task was.
    package static func perform(
        _ request: HTTPRequest, tls: TLSContext?, proxy: HTTPProxy? = nil, deadline: Duration,
        bodyLimit: Int = 1 << 20, on eventLoop: any EventLoop
    ) async throws(HTTPError) -> HTTPResponse {
        let run = try HTTPRun(request, tls, proxy, deadline, bodyLimit, eventLoop)
        do {
            return try await withTaskCancellationHandler {
                try await run.start().get()
            } onCancel: {
                run.cancel()
            }
        } catch let error as HTTPError {
            throw error
        } catch {
            throw HTTPError(.closed, "\(request): \(error)")
        }
    }
}

/// One exchange under way. Its state is touched on the event loop only, hence `@unchecked Sendable`.
private final class HTTPRun: @unchecked Sendable {
    private let request: HTTPRequest
    private let route: Route
    private let head: HTTPRequestHead
    private let deadline: Duration
    private let bodyLimit: Int
    private let eventLoop: any EventLoop
    private let promise: EventLoopPromise<HTTPResponse>
    private var isOver = false
    private var channel: (any Channel)?
    private var timer: Scheduled<Void>?

    init(
        _ request: HTTPRequest, _ tls: TLSContext?, _ proxy: HTTPProxy?, _ deadline: Duration, _ bodyLimit: Int,
        _ eventLoop: any EventLoop
    ) throws(HTTPError) {
        let url = request.url
        var target = url.path
        if url.isSecure {
            guard let tls else { throw HTTPError(.invalidRequest, "\(request): there is no TLS for https") }
            var route = Route(host: url.host, port: url.port, tls: tls)
            route.proxy = proxy
            self.route = route
        } else if let proxy {
            route = Route(host: proxy.host, port: proxy.port)
            target = "http://\(url.authority)\(url.path)"
        } else {
            route = Route(host: url.host, port: url.port)
        }
        var fields = HTTPHeaders([("Host", url.authority), ("Connection", "close"), ("User-Agent", "tailrace/1")])
        if !url.isSecure, let authorization = proxy?.authorization {
            fields.add(name: "Proxy-Authorization", value: authorization)
        }
        for (name, value) in request.headers {
            guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }),
                value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F })
            else {
                throw HTTPError(
                    .invalidRequest, "\(request): the value of a header field contains a line break or is not ASCII")
            }
            fields.add(name: name, value: value)
        }
        if !request.body.isEmpty || request.method == "POST" {
            fields.add(name: "Content-Length", value: "\(request.body.count)")
        }
        head = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: request.method), uri: target, headers: fields)
        self.request = request
        self.deadline = deadline
        self.bodyLimit = bodyLimit
        self.eventLoop = eventLoop
        promise = eventLoop.makePromise()
    }

    func start() -> EventLoopFuture<HTTPResponse> {
        eventLoop.execute { self.run() }
        return promise.futureResult
    }

    func cancel() {
        eventLoop.execute { self.finish(.failure(HTTPError(.cancelled, "\(self.request): cancelled"))) }
    }

    private func run() {
        guard !isOver else { return }
        let limit = TimeAmount(deadline)
        timer = eventLoop.scheduleTask(in: limit) {
            let what = self.channel == nil ? "no connection" : "no whole answer"
            self.finish(.failure(HTTPError(.timeout, "\(self.request): \(what) within \(limit.text)")))
        }
        var route = route
        route.connectTimeout = deadline
        route.handshakeTimeout = deadline
        Dialer.dial(route, on: eventLoop) { channel in
            guard !self.isOver else {
                channel.close(promise: nil)
                return
            }
            self.channel = channel
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = HTTPExchange.headLimit
            limits.maxHeaderListSize = HTTPExchange.headLimit
            let decoder = HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
            let collector = ResponseCollector(limit: self.bodyLimit) { result in
                self.finish(result.mapError { self.named($0) })
            }
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(HTTPRequestEncoder())
            try pipeline.addHandler(ByteToMessageHandler(decoder))
            try pipeline.addHandler(collector)
            channel.write(HTTPClientRequestPart.head(self.head), promise: nil)
            if !self.request.body.isEmpty {
                channel.write(
                    HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: self.request.body))), promise: nil)
            }
            channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        }.whenFailure { error in
            let isPermanent = (error as? DialError)?.isPermanent ?? false
            self.finish(.failure(HTTPError(.connect, "\(self.request): \(error)", isPermanent: isPermanent)))
        }
    }

    private func named(_ error: HTTPError) -> HTTPError {
        var error = error
        error.message = "\(request): \(error.message)"
        return error
    }

    /// Only the first end counts.
    private func finish(_ result: Result<HTTPResponse, HTTPError>) {
        guard !isOver else { return }
        isOver = true
        timer?.cancel()
        channel?.close(promise: nil)
        promise.completeWith(result.mapError { $0 as any Error })
    }
}

/// Puts a response together, and watches its size.
private final class ResponseCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let limit: Int
    private let completion: (Result<HTTPResponse, HTTPError>) -> Void
    private var response: HTTPResponse?

    init(limit: Int, completion: @escaping (Result<HTTPResponse, HTTPError>) -> Void) {
        self.limit = limit
        self.completion = completion
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            if let length = head.headers.first(name: "Content-Length").flatMap({ Int($0) }), length > limit {
                completion(.failure(tooLarge))
            }
            response = HTTPResponse(
                status: Int(head.status.code), headers: head.headers.map { (name: $0.name, value: $0.value) })
        case .body(let bytes):
            guard (response?.body.count ?? 0) + bytes.readableBytes <= limit else {
                completion(.failure(tooLarge))
                return
            }
            response?.body.append(contentsOf: bytes.readableBytesView)
        case .end:
            if let response { completion(.success(response)) }
        }
    }

    private var tooLarge: HTTPError { HTTPError(.tooLarge, "the answer has more than \(limit) bytes") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow:
            completion(
                .failure(HTTPError(.tooLarge, "the head of the answer has more than \(HTTPExchange.headLimit) bytes")))
        case HTTPParserError.invalidEOFState, HTTPParserError.closedConnection: completion(.failure(closed))
        case let error as HTTPParserError:
            completion(.failure(HTTPError(.malformed, "the answer is no HTTP (\(error)); check host and port")))
        default: completion(.failure(HTTPError(.closed, ConnectFailure.text(error))))
        }
    }

    func channelInactive(context: ChannelHandlerContext) { completion(.failure(closed)) }

    private var closed: HTTPError {
        HTTPError(
            .closed,
            response == nil ? "the connection was closed without an answer" : "the connection ended within the answer")
    }
}
