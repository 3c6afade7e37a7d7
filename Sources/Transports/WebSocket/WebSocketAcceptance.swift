package import NIOCore
internal import OpenSSLTransport

/// The opening handshake of RFC 6455 section 4.2, as a server judges it.
package struct WebSocketAcceptance: Sendable {
    /// The one path that is served; a slash behind it does no harm.
    package var path: String
    /// What may be spoken inside, by the names of sub-protocols.
    package var subprotocols: [String]

    package init(path: String, subprotocols: [String]) {
        self.path = path
        self.subprotocols = subprotocols
    }

    /// Why there is no WebSocket, as the whole HTTP answer that says so; the connection closes behind it.
    package struct Refusal: Error, Hashable, Sendable {
        package var status: Int
        package var reason: String
        /// Sent as the body.
        package var text: String
        package var fields: [HTTPHead.Field] = []

        package init(_ status: Int, _ reason: String, _ text: String, _ fields: [HTTPHead.Field] = []) {
            self.status = status
            self.reason = reason
            self.text = text
            self.fields = fields
        }

        package init(_ error: HTTPHeadError) {
            switch error {
            case .tooLong:
                self.init(
                    431, "Request Header Fields Too Large", "the head has more than \(HTTPHeadParser.limit) bytes")
            case .malformed(let what): self.init(400, "Bad Request", what)
            case .notHTTP, .closed: self.init(400, "Bad Request", "this is no HTTP request")
            }
        }

        package var answer: ByteBuffer {
            var head = "HTTP/1.1 \(status) \(reason)\r\nContent-Type: text/plain; charset=utf-8\r\n"
            head += "Content-Length: \(text.utf8.count + 1)\r\nConnection: close\r\n"
            for field in fields { head += "\(field.name): \(field.value)\r\n" }
            return ByteBuffer(string: head + "\r\n" + text + "\n")
        }
    }

    /// The answer that turns the connection into a WebSocket.
    package func answer(_ request: HTTPHead) throws(Refusal) -> ByteBuffer {
        let words = request.startLine.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else {
            throw Refusal(400, "Bad Request", "this is no HTTP/1.1 request")
        }
        guard words[0] == "GET" else {
            throw Refusal(
                405, "Method Not Allowed", "a WebSocket begins with GET", [.init(name: "Allow", value: "GET")])
        }
        var asked = words[1].prefix { $0 != "?" }.replacing("%24", with: "$")
        if asked.hasSuffix("/") { asked.removeLast() }
        guard asked == path else {
            throw Refusal(404, "Not Found", "there is nothing here but the WebSocket at \(path)")
        }
        guard words[2] == "HTTP/1.1", request["Host"] != nil else {
            throw Refusal(400, "Bad Request", "a WebSocket begins with a request of HTTP/1.1 that names its host")
        }
        guard request.has("websocket", in: "Upgrade"), request.has("upgrade", in: "Connection") else {
            throw Refusal(
                426, "Upgrade Required", "this path serves a WebSocket and nothing else",
                [.init(name: "Upgrade", value: "websocket"), .init(name: "Connection", value: "Upgrade")])
        }
        guard request["Sec-WebSocket-Version"] == "13" else {
            throw Refusal(
                426, "Upgrade Required", "version 13 of the protocol is served",
                [.init(name: "Sec-WebSocket-Version", value: "13")])
        }
        guard let key = request["Sec-WebSocket-Key"], Base64.decode(key)?.count == 16 else {
            throw Refusal(400, "Bad Request", "Sec-WebSocket-Key is not 16 bytes in base64")
        }
        guard let subprotocol = request.list("Sec-WebSocket-Protocol").first(where: { subprotocols.contains($0) })
        else {
            let names = subprotocols.joined(separator: " or ")
            throw Refusal(400, "Bad Request", "Sec-WebSocket-Protocol does not offer \(names)")
        }
        return ByteBuffer(
            string: """
                HTTP/1.1 101 Switching Protocols\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Accept: \(WebSocketUpgrade.accept(key))\r
                Sec-WebSocket-Protocol: \(subprotocol)\r
                \r

                """)
    }
}
