internal import NIOCore
internal import OpenSSLTransport

/// The opening handshake of RFC 6455 section 4, as the client asks and judges.
struct WebSocketUpgrade {
    let route: WebSocketRoute
    /// For messages.
    let place: String
    private let key: String

    init(_ route: WebSocketRoute, place: String) {
        self.route = route
        self.place = place
        var generator = SystemRandomNumberGenerator()
        key = Base64.encode((0..<16).map { _ in UInt8.random(in: 0 ... .max, using: &generator) })
    }

    var request: ByteBuffer {
        ByteBuffer(
            string: """
                GET \(route.path) HTTP/1.1\r
                Host: \(route.host)\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Key: \(key)\r
                Sec-WebSocket-Version: 13\r
                Sec-WebSocket-Protocol: \(route.subprotocol)\r
                \r

                """)
    }

    func check(_ head: HTTPHead) throws(DialError) {
        guard let code = head.status?.code else { throw refused("answers \(head.statusText), which is no HTTP status") }
        switch code {
        case 101: break
        case 300..<400:
            let place = head["Location"].map { " to \(PeerText.printable($0))" } ?? ""
            throw refused("redirects\(place) (\(head.statusText)), which is not followed; use that address instead")
        case 401, 403: throw refused("refuses to open it (\(head.statusText))")
        case 404: throw refused("has none at \(route.path) (\(head.statusText)); check host and port")
        default: throw refused("answers \(head.statusText) where 101 was due")
        }
        guard head.has("websocket", in: "Upgrade"), head.has("upgrade", in: "Connection") else {
            throw refused("answers 101 but not with an upgrade to websocket")
        }
        guard head["Sec-WebSocket-Accept"] == Self.accept(key) else {
            throw refused("answers with a Sec-WebSocket-Accept that does not belong to this request")
        }
        guard head["Sec-WebSocket-Protocol"] == route.subprotocol else {
            let agreed = head["Sec-WebSocket-Protocol"].map { "speaks \"\(PeerText.printable($0))\" in it" }
            throw refused("\(agreed ?? "names no sub-protocol"), not \(route.subprotocol)")
        }
        guard head.list("Sec-WebSocket-Extensions").isEmpty else {
            throw refused("uses extensions that were not offered")
        }
    }

    private func refused(_ text: String) -> DialError {
        DialError(.webSocket, "no WebSocket on \(place): the server \(text)")
    }

    func error(_ error: any Error) -> DialError {
        switch error {
        case let error as DialError: error
        case HTTPHeadError.notHTTP(let beginning):
            refused("does not speak HTTP: its answer begins with \"\(beginning)\"; check host and port")
        case HTTPHeadError.malformed(let reason): refused("answers in no HTTP: \(reason)")
        case HTTPHeadError.tooLong: refused("answers with more than \(HTTPHeadParser.limit) bytes of header")
        case HTTPHeadError.closed: refused("closed the connection without an answer")
        default: DialError(.webSocket, "no WebSocket on \(place): \(ConnectFailure.text(error))")
        }
    }

    /// What a server answers to a key.
    static func accept(_ key: String) -> String {
        Base64.encode(SHA1.digest(of: (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
    }
}
