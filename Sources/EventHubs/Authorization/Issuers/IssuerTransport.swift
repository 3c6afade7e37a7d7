import Glibc
internal import NIOCore
internal import NIOPosix
internal import OpenSSLTransport
internal import Transports

/// How an issuer of tokens is asked: over what, how often, and for how long.
struct IssuerTransport: Sendable {
    /// For https.
    var tls: TLSContext?
    var proxy: HTTPProxy?
    /// For one request.
    var requestTimeout: Duration = .seconds(30)
    var eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()

    /// Bytes of an answer. Tokens have a few kilobytes.
    static let bodyLimit = 256 << 10

    /// Asks, and asks again after what may pass: no connection, and the statuses that `retries` names.
    ///
    /// - Throws: `EventHubsError` when there was no answer; every answer is returned, whatever its status.
    func ask(_ request: HTTPRequest, _ retries: IssuerRetries, who: String) async throws -> HTTPResponse {
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
                if delay == nil {
                    let code: EventHubsError.Code =
                        error.isPermanent ? .invalidArgument : error.kind == .timeout ? .timeout : .connectFailed
                    throw EventHubsError(code, "no token from the \(who): \(error.message)")
                }
            }
            attempt += 1
            try await Task.sleep(for: delay ?? .zero)
        }
    }
}

/// When a question to an issuer is asked again.
struct IssuerRetries: Sendable {
    /// Before each retry; their number is that of the retries.
    var delays: [Duration]
    /// For status 410, with which the metadata service says that it is being renewed, for up to 70 seconds.
    var renewalDelays: [Duration] = []
    /// Statuses below 500 that may pass.
    var statuses: Set<Int> = [408, 429]
    /// A server's wish is followed up to here.
    static let longestWish = Duration.seconds(60)

    /// Microsoft Entra ID.
    static let entra = IssuerRetries(delays: [.milliseconds(800), .milliseconds(1600), .milliseconds(3200)])
    /// Endpoints on the machine itself: as azure-identity 1.27 (`_credentials/imds.py`) has it.
    static let metadata = IssuerRetries(
        delays: [.zero, .milliseconds(1600), .milliseconds(3200), .milliseconds(6400), .milliseconds(12800)],
        renewalDelays: [.zero, .seconds(5), .seconds(10), .seconds(20), .seconds(40)], statuses: [404, 408, 410, 429])

    /// Nil: not again.
    ///
    /// - Parameters:
    ///   - attempt: retries so far.
    ///   - status: nil: there was no answer.
    func delay(before attempt: Int, status: Int?, retryAfter: String?) -> Duration? {
        if let status, status < 500, !statuses.contains(status) { return nil }
        let delays = status == 410 && !renewalDelays.isEmpty ? renewalDelays : delays
        guard attempt < delays.count else { return nil }
        let wish = retryAfter.flatMap { Int64($0) }.map { min(.seconds(max(0, $0)), Self.longestWish) } ?? .zero
        // Up to a quarter more, so that many machines do not come at once.
        return max(delays[attempt], wish) * Double.random(in: 1...1.25)
    }
}
