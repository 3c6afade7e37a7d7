import Glibc
internal import OpenSSLTransport
internal import Transports

/// What an issuer answered: a token, or why there is none.
struct IssuerAnswer {
    let response: HTTPResponse
    /// Who was asked, and what: for messages.
    let who: String
    let request: HTTPRequest
    /// What was sent and must not come back in a message.
    var secrets: [String] = []
    /// Seconds since 1970 by this machine's clock, when the answer came.
    var now = Int64(time(nil))

    /// By how much this machine's clock is ahead of the issuer's; nil: the answer has no date.
    var clockSkew: Int64? { response["Date"].flatMap { UTCTime.httpDate($0) }.map { now - $0 } }

    /// - Throws: `EventHubsError` with code `unauthorized` when only somebody's help will change the answer, else
    ///   `connectFailed`.
    func token() throws(EventHubsError) -> EventHubsToken {
        guard response.status == 200 else { throw refusal }
        guard let json = try? JSONValue(response.body) else { throw strange("it is no JSON") }
        guard let value = json["access_token"]?.text, !value.isEmpty else { throw strange("it holds no access_token") }
        guard let expiry = expiry(json, value) else { throw strange("it does not say when the token ends") }
        var refreshAfter: Int64?
        if let refreshIn = json["refresh_in"]?.integer, (0...Self.longest).contains(refreshIn) {
            refreshAfter = now + refreshIn
        }
        return EventHubsToken(value, expiry: expiry, refreshAfter: refreshAfter, clockSkew: clockSkew)
    }

    private static let longest: Int64 = 315_360_000

    /// By this machine's clock, which may be wrong: what is left counts more than when it ends.
    private func expiry(_ json: JSONValue, _ token: String) -> Int64? {
        let skew = clockSkew.map { abs($0) >= ClockSkew.notable ? $0 : 0 } ?? 0
        let absolute = (json["expires_on"]?.integer ?? JWT(token)?.expiry).flatMap { seconds -> Int64? in
            (0...(1 << 40)).contains(seconds) ? seconds + skew : nil
        }
        let relative = json["expires_in"]?.integer.flatMap { (0...Self.longest).contains($0) ? now + $0 : nil }
        guard let absolute, let relative else { return relative ?? absolute }
        // A metadata service gives tokens out of a store: one of the two may be that of the time of issue.
        return min(absolute, relative)
    }

    // MARK: Refusals

    private func strange(_ what: String) -> EventHubsError {
        EventHubsError(.connectFailed, "no token from the \(who): \(request) answered something unexpected: \(what)")
    }

    private var refusal: EventHubsError {
        let json = try? JSONValue(response.body)
        let said = json.flatMap(Self.words)
        var message = "no token from the \(who): \(request) answered status \(response.status)"
        if let said { message += ": \(shown(said))" }
        if let remedy = IssuerRemedy.text(said ?? "") { message += "; \(remedy)" }
        if let clockSkew, abs(clockSkew) >= ClockSkew.notable { message += "; \(ClockSkew.text(clockSkew))" }
        let passes = response.status >= 500 || [404, 408, 410, 429].contains(response.status)
        return EventHubsError(passes ? .connectFailed : .unauthorized, message)
    }

    /// The forms that Entra, the metadata service, App Service and Arc give their errors.
    private static func words(_ json: JSONValue) -> String? {
        let nested = json["error"]?["message"]?.text.map { text in
            (json["error"]?["code"]?.text.map { "\($0): " } ?? "") + text
        }
        let description = json["error_description"]?.text ?? json["message"]?.text ?? json["Message"]?.text
        let pair = [json["error"]?.text, description].compactMap { $0 }.joined(separator: ": ")
        return nested ?? (pair.isEmpty ? nil : pair)
    }

    /// What the issuer said, without line breaks, secrets and its length.
    private func shown(_ text: String) -> String {
        var text = text
        for secret in secrets where !secret.isEmpty {
            text = text.replacing(secret, with: "…").replacing(SharedAccessSignature.formEncoded(secret), with: "…")
        }
        var result = ""
        for scalar in text.unicodeScalars.prefix(Self.textLimit) {
            result.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
        }
        return result
    }

    /// Characters of an issuer's message; theirs have some 600.
    private static let textLimit = 1000
}

/// The times in a JSON web token; its signature is for the service to check.
struct JWT {
    let expiry: Int64

    init?(_ token: String) {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var payload = String(parts[1].map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        payload += String(repeating: "=", count: (4 - payload.utf8.count % 4) % 4)
        guard let bytes = Base64.decode(payload), let expiry = (try? JSONValue(bytes))?["exp"]?.integer else {
            return nil
        }
        self.expiry = expiry
    }
}
