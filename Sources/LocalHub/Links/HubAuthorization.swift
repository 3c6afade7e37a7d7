internal import AMQP
import EventHubs
import OpenSSLTransport

/// What one connection has proved: the claims that it put on `$cbs`, or a password given to SASL PLAIN.
struct HubAuthorization {
    struct Key {
        var name: String
        var value: String
    }

    enum Verdict: Equatable {
        /// Good until then: seconds since 1970.
        case accepted(expiry: Int64)
        case malformed(String)
        case refused(String)
    }

    private let key: Key
    /// Judges tokens of an issuer, which this hub cannot check by itself.
    private let acceptsToken: (@Sendable (_ token: String) -> HubTokenVerdict)?
    /// Paths (lower case, without host) and when the right to them ends, seconds since 1970.
    private var claims: [(path: [Substring], expiry: Int64)] = []
    /// Claims that one connection may hold: more are a mistake of the client.
    private static let claimLimit = 256

    init(key: Key, acceptsToken: (@Sendable (_ token: String) -> HubTokenVerdict)? = nil) {
        self.key = key
        self.acceptsToken = acceptsToken
    }

    var takesIssuedTokens: Bool { acceptsToken != nil }

    /// SASL PLAIN with the key itself gives every right for the connection's life.
    mutating func acceptPassword(user: String, password: String) -> Bool {
        guard Self.equal(Array(user.utf8), Array(key.name.utf8)),
            Self.equal(Array(password.utf8), Array(key.value.utf8))
        else { return false }
        claims = [([], .max)]
        return true
    }

    /// Takes a claim to `audience`, proved by `token`.
    mutating func put(audience: String, token: String, now: Int64) -> Verdict {
        let verdict = check(audience: audience, token: token, now: now)
        if case .accepted(let expiry) = verdict {
            let path = Self.path(audience)
            claims.removeAll { $0.path == path }
            guard claims.count < Self.claimLimit else { return .refused("too many claims on one connection") }
            claims.append((path, expiry))
        }
        return verdict
    }

    /// Checks a token without keeping its claim.
    func check(audience: String, token: String, now: Int64) -> Verdict {
        let prefix = "SharedAccessSignature "
        if let acceptsToken, !token.hasPrefix(prefix) {
            switch acceptsToken(token) {
            case .refused(let text): return .refused(text)
            case .accepted(let expiry):
                guard expiry > now else { return .refused("ExpiredToken: the token is expired") }
                return .accepted(expiry: expiry)
            }
        }
        guard token.hasPrefix(prefix) else {
            return .malformed("the token is no shared access signature (SharedAccessSignature sr=...)")
        }
        var fields: [Substring: Substring] = [:]
        for field in token.dropFirst(prefix.count).split(separator: "&") {
            guard let equals = field.firstIndex(of: "=") else { return .malformed("a field of the token has no value") }
            fields[field[..<equals]] = field[field.index(after: equals)...]
        }
        guard let resource = fields["sr"], let signature = fields["sig"], let expiryText = fields["se"],
            let keyName = fields["skn"]
        else { return .malformed("the token lacks one of sr, sig, se, skn") }
        guard let expiry = Int64(expiryText) else { return .malformed("the token's se is no number of seconds") }
        guard let given = Self.formDecoded(signature).flatMap({ Base64.decode($0) }),
            let plainResource = Self.formDecoded(resource), let plainName = Self.formDecoded(keyName)
        else { return .malformed("a field of the token is not encoded as a form's fields are") }
        // The Python client encodes the name twice.
        guard plainName == key.name || Self.formDecoded(plainName[...]) == key.name else {
            return .refused("the token names a key that this namespace does not have")
        }
        let wanted = HMACSHA256.authenticate(message: "\(resource)\n\(expiryText)".utf8, key: key.value.utf8)
        guard Self.equal(given, wanted) else { return .refused("InvalidSignature: the token has an invalid signature") }
        guard expiry > now else { return .refused("ExpiredToken: the token is expired") }
        guard Self.covers(Self.path(plainResource), Self.path(audience)) else {
            return .refused("InvalidAudience: the token is for another resource")
        }
        return .accepted(expiry: expiry)
    }

    /// Whether `path` may be used now.
    func allows(_ path: [Substring], now: Int64) -> Bool {
        claims.contains { $0.expiry > now && Self.covers($0.path, path) }
    }

    /// When the next claim ends, seconds since 1970.
    var nextExpiry: Int64? { claims.map(\.expiry).filter { $0 < .max }.min() }

    var hasClaims: Bool { !claims.isEmpty }

    mutating func dropExpired(now: Int64) { claims.removeAll { $0.expiry <= now } }

    private static func covers(_ claim: [Substring], _ path: [Substring]) -> Bool { path.starts(with: claim) }

    /// The segments of an address in lower case: `amqps://host:1/hub/Partitions/3`, `/hub/Partitions/3` and
    /// `hub/Partitions/3` are the same place.
    static func path(_ address: String) -> [Substring] {
        var rest = address.lowercased()[...]
        if let scheme = rest.range(of: "://") {
            rest = rest[scheme.upperBound...]
            guard let slash = rest.firstIndex(of: "/") else { return [] }
            rest = rest[slash...]
        }
        return rest.split(separator: "/")
    }

    private static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// Undoes the encoding of form fields; nil: it is not one.
    static func formDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var source = text.utf8.makeIterator()
        while let byte = source.next() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = source.next(), let low = source.next(),
                    let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
                else { return nil }
                bytes.append(value)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension Substring {
    fileprivate func range(of needle: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { return start..<index(start, offsetBy: needle.count) }
            formIndex(after: &start)
        }
        return nil
    }
}
