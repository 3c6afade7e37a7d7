/// What can go wrong with TLS; reasons are OpenSSL's own words.
package enum TLSError: Error, Equatable, CustomStringConvertible {
    /// A certificate, key, CA file or server name cannot be used. Found before any connection is made.
    case configuration(String)
    /// The handshake did not end well: refused certificate, no common version, a peer that speaks something else.
    case handshakeFailed(peer: String, reason: String)
    /// An established session broke: a record that does not decrypt, an alert from the peer.
    case sessionFailed(peer: String, reason: String)
    /// The connection ended without the peer's goodbye (`close_notify`): what was read may not be all that was sent.
    case truncated(peer: String)
    /// The connection was closed by our side before this operation could be done.
    case closed

    package var description: String {
        switch self {
        case .configuration(let text): text
        case .handshakeFailed(let peer, let reason): "TLS handshake with \(peer) failed: \(reason)"
        case .sessionFailed(let peer, let reason): "TLS session with \(peer) failed: \(reason)"
        case .truncated(let peer): "connection to \(peer) ended without TLS close_notify, data may be missing"
        case .closed: "TLS connection is closed"
        }
    }
}
