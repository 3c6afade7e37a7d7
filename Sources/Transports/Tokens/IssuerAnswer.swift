import Glibc

/// What an issuer gave.
package struct IssuedToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A secret.
    package var value: String
    /// Seconds since 1970 by this machine's clock; nil: the issuer did not say, nor does the token.
    package var expiry: Int64?
    /// When the issuer wants to be asked again, in seconds since 1970.
    package var refreshAfter: Int64?
    /// Seconds that this machine's clock is ahead of the issuer's; nil: not known.
    package var clockSkew: Int64?

    package var description: String { "token until \(expiry.map { UTCTime.text($0) } ?? "an unknown time")" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why an issuer gave no token.
package struct IssuerRefusal: Error, Hashable, Sendable {
    /// Who, what and why; without secrets.
    package var message: String
    /// The same question may be answered later without anybody's help.
    package var mayPass: Bool
}

/// What an issuer answered: a token, or why there is none.
package struct IssuerAnswer: Sendable {
    package let response: HTTPResponse
    /// Who was asked, and what: for messages.
    package let who: String
    package let request: HTTPRequest
    /// What was sent and must not come back in a message.
    package var secrets: [String]
    /// What to do about a refusal, by the issuer's words.
    package var remedy: @Sendable (String) -> String? = { _ in nil }
    /// Seconds since 1970 by this machine's clock, when the answer came.
    package var now: Int64

    package init(
        response: HTTPResponse, who: String, request: HTTPRequest, secrets: [String] = [], now: Int64? = nil
    ) {
        self.response = response
        self.who = who
        self.request = request
        self.secrets = secrets
        self.now = now ?? Int64(time(nil))
    }

    /// By how much this machine's clock is ahead of the issuer's; nil: the answer has no date.
    package var clockSkew: Int64? { response["Date"].flatMap { UTCTime.httpDate($0) }.map { now - $0 } }

    package func issuedToken() throws(IssuerRefusal) -> IssuedToken {
        let json = try json()
        guard let value = json["access_token"]?.text, !value.isEmpty else { throw strange("it holds no access_token") }
        var refreshAfter: Int64?
        if let refreshIn = json["refresh_in"]?.integer, (0...Self.longest).contains(refreshIn) {
            refreshAfter = now + refreshIn
        }
        return IssuedToken(
            value: value, expiry: expiry(json, value), refreshAfter: refreshAfter, clockSkew: clockSkew)
    }

    /// The answer to a request that was granted.
    package func json() throws(IssuerRefusal) -> JSONValue {
        guard response.status == 200 else { throw refusal }
        guard let json = try? JSONValue(response.body) else { throw strange("it is no JSON") }
        return json
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

    /// An answer that no issuer should give.
    package func strange(_ what: String) -> IssuerRefusal {
        IssuerRefusal(
            message: "no token from the \(who): \(request) answered something unexpected: \(what)", mayPass: true)
    }

    private var refusal: IssuerRefusal {
        let json = try? JSONValue(response.body)
        let said = json.flatMap(Self.words)
        var message = "no token from the \(who): \(request) answered status \(response.status)"
        if let said { message += ": \(shown(said))" }
        if let remedy = remedy(said ?? "") { message += "; \(remedy)" }
        if let clockSkew, abs(clockSkew) >= ClockSkew.notable { message += "; \(ClockSkew.text(clockSkew))" }
        let passes = response.status >= 500 || [404, 408, 410, 429].contains(response.status)
        return IssuerRefusal(message: message, mayPass: passes)
    }

    /// The forms that OAuth 2 (RFC 6749 section 5.2), Azure's metadata service, App Service and Arc give their errors.
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
            text = text.replacing(secret, with: "…").replacing(FormEncoding.text(secret), with: "…")
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
