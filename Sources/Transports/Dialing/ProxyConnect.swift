internal import NIOCore

/// The CONNECT method of HTTP (RFC 9110 section 9.3.6) with Basic authentication (RFC 7617): what is asked, and what
/// the answer means.
struct ProxyConnect {
    let proxy: HTTPProxy
    /// `host:port` that the proxy shall connect to.
    let target: String

    var request: ByteBuffer {
        var text = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n"
        if let authorization = proxy.authorization { text += "Proxy-Authorization: \(authorization)\r\n" }
        return ByteBuffer(string: text + "\r\n")
    }

    func check(_ head: HTTPHead) throws(DialError) {
        let answer = head.statusText
        switch head.status?.code ?? 0 {
        case 200..<300: return
        // tinyproxy says 401 to a wrong password.
        case 401 where !proxy.hasCredentials, 407 where !proxy.hasCredentials:
            throw permanent("wants a user name and a password (\(answer)); give them with the proxy's address")
        case 401, 407:
            throw permanent("refuses the user name or the password that it was given (\(answer)); correct them")
        case 403, 405:
            throw permanent("does not allow connections to \(target) (\(answer)); have its rules changed")
        case 500..<600:
            throw DialError(.proxy, "proxy \(proxy.place) cannot connect to \(target): it answered \(answer)")
        default:
            throw DialError(.proxy, "proxy \(proxy.place) answered CONNECT to \(target) with \(answer)")
        }
    }

    private func permanent(_ text: String) -> DialError {
        DialError(.proxy, "proxy \(proxy.place) \(text)", isPermanent: true)
    }

    func error(_ error: any Error) -> DialError {
        switch error {
        case let error as DialError: error
        case HTTPHeadError.notHTTP(let beginning):
            DialError(
                .proxy,
                "\(proxy.place) is no HTTP proxy: its answer to CONNECT begins with \"\(beginning)\"; check host and port"
            )
        case HTTPHeadError.malformed(let reason):
            DialError(.proxy, "the answer of proxy \(proxy.place) is no HTTP: \(reason)")
        case HTTPHeadError.tooLong:
            DialError(
                .proxy, "the answer of proxy \(proxy.place) has more than \(HTTPHeadParser.limit) bytes of header")
        case HTTPHeadError.closed:
            DialError(.proxy, "proxy \(proxy.place) closed the connection without an answer to CONNECT \(target)")
        default: DialError(.proxy, "proxy \(proxy.place): \(ConnectFailure.text(error))")
        }
    }
}
