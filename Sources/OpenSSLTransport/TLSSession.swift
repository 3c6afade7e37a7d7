/// What a finished handshake agreed on.
package struct TLSSession: Equatable, Sendable {
    /// As OpenSSL names it: "TLSv1.2", "TLSv1.3".
    package var version: String
    package var cipher: String
    /// The name that the client asked for (SNI); nil for an IP address or a client that sends none.
    package var serverName: String?
    /// The subject of the peer's certificate; nil when it showed none.
    package var peerSubject: String?
    /// The subject of whoever issued it.
    package var peerIssuer: String?
    /// When it is valid, in seconds since 1970, UTC.
    package var peerValidity: ClosedRange<Int64>?
}

/// What `TLSHandler` tells the handlers behind it, as user inbound events.
package enum TLSEvent: Equatable, Sendable {
    /// Fired once, before the first decrypted byte.
    case handshakeCompleted(TLSSession)
    /// The peer said goodbye (`close_notify`): everything that it sent has been read. The connection closes.
    case closedByPeer
}
