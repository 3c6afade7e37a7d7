package import NIOCore
internal import NIOPosix
package import OpenSSLTransport

/// How an issuer of tokens is asked: over what, how often, and for how long.
package struct IssuerTransport: Sendable {
    /// For https.
    package var tls: TLSContext?
    package var proxy: HTTPProxy?
    /// For one request.
    package var requestTimeout: Duration
    package var eventLoop: any EventLoop

    /// Bytes of an answer. Tokens have a few kilobytes.
    package static let bodyLimit = 256 << 10

    package init(
        tls: TLSContext? = nil, proxy: HTTPProxy? = nil, requestTimeout: Duration = .seconds(30),
        eventLoop: (any EventLoop)? = nil
    ) {
        self.tls = tls
        self.proxy = proxy
        self.requestTimeout = requestTimeout
        self.eventLoop = eventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
    }

    /// Asks, and asks again after what may pass: no connection, and the statuses that `retries` names.
    ///
    /// - Throws: `HTTPError` when there was no answer, `CancellationError`; every answer is returned, whatever its status.
    package func ask(_ request: HTTPRequest, _ retries: IssuerRetries) async throws -> HTTPResponse {
        var attempt = 0
        while true {
            var delay: Duration?
            do throws(HTTPError) {
                let response = try await HTTPExchange.perform(
                    request, tls: tls, proxy: proxy, deadline: requestTimeout, bodyLimit: Self.bodyLimit, on: eventLoop)
                delay = retries.delay(before: attempt, status: response.status, retryAfter: response["Retry-After"])
                if delay == nil { return response }
            } catch {
                if error.kind == .cancelled { throw CancellationError() }
                if !error.isPermanent { delay = retries.delay(before: attempt, status: nil, retryAfter: nil) }
                if delay == nil { throw error }
            }
            attempt += 1
            try await Task.sleep(for: delay ?? .zero)
        }
    }
}

/// When a question to an issuer is asked again.
package struct IssuerRetries: Sendable {
    /// Before each retry; their number is that of the retries.
    package var delays: [Duration]
    /// For status 410, with which the metadata service says that it is being renewed, for up to 70 seconds.
    package var renewalDelays: [Duration] = []
    /// Statuses below 500 that may pass.
    package var statuses: Set<Int> = [408, 429]
    /// A server's wish is followed up to here.
    package static let longestWish = Duration.seconds(60)

    package init(delays: [Duration], renewalDelays: [Duration] = [], statuses: Set<Int> = [408, 429]) {
        self.delays = delays
        self.renewalDelays = renewalDelays
        self.statuses = statuses
    }

    /// Issuers elsewhere on the network.
    package static let remote = IssuerRetries(delays: [.milliseconds(800), .milliseconds(1600), .milliseconds(3200)])

    /// Nil: not again.
    ///
    /// - Parameters:
    ///   - attempt: retries so far.
    ///   - status: nil: there was no answer.
    package func delay(before attempt: Int, status: Int?, retryAfter: String?) -> Duration? {
        if let status, status < 500, !statuses.contains(status) { return nil }
        let delays = status == 410 && !renewalDelays.isEmpty ? renewalDelays : delays
        guard attempt < delays.count else { return nil }
        let wish = retryAfter.flatMap { Int64($0) }.map { min(.seconds(max(0, $0)), Self.longestWish) } ?? .zero
        // Up to a quarter more, so that many machines do not come at once.
        return max(delays[attempt], wish) * Double.random(in: 1...1.25)
    }
}
