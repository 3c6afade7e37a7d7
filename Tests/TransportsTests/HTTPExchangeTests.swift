import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Transports

/// One request and its answer, with servers that answer as scripted. TLS, and a server that nobody here wrote, are in
/// IntegrationTests.
@Suite struct HTTPExchangeTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func get(
        _ server: ScriptedServer, _ path: String = "/", headers: [(name: String, value: String)] = [],
        deadline: Duration = .seconds(30), bodyLimit: Int = 1000
    ) async throws -> HTTPResponse {
        let request = HTTPRequest("GET", try HTTPURL("http://127.0.0.1:\(server.port)\(path)"), headers: headers)
        return try await HTTPExchange.perform(
            request, tls: nil, deadline: deadline, bodyLimit: bodyLimit, on: loop)
    }

    private func failure(_ answer: String?, deadline: Duration = .seconds(30), bodyLimit: Int = 1000) async throws
        -> HTTPError?
    {
        let server = try await ScriptedServer.start([{ _ in answer }])
        let error = await #expect(throws: HTTPError.self) {
            try await get(server, "/path?client_id=c4nary", deadline: deadline, bodyLimit: bodyLimit)
        }
        await server.stop()
        // Where it happened, and nothing of the query.
        #expect(
            error?.message.hasPrefix("GET http://127.0.0.1:\(server.port)/path: ") == true,
            "\(String(describing: error))")
        return error
    }

    @Test func aRequestIsWholeAndItsAnswerIsRead() async throws {
        let server = try await ScriptedServer.start([
            { _ in "HTTP/1.1 200 OK\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello" }
        ])
        let response = try await get(server, "/a?b=c", headers: [("Metadata", "true")])
        #expect(response.status == 200)
        #expect(response["x-one"] == "1")
        #expect(response.body == Array("hello".utf8))
        #expect(
            server.requests == [
                "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nConnection: close\r\nUser-Agent: tailrace/1\r\n"
                    + "Metadata: true\r\n\r\n"
            ])
        await server.stop()
    }

    @Test func bodiesInChunksAreJoinedAndOtherStatusesAreAnswers() async throws {
        let server = try await ScriptedServer.start([
            { _ in
                "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nT: 1\r\n\r\n"
            }
        ])
        let response = try await get(server)
        #expect(response.status == 404)
        #expect(response.body == Array("abcd".utf8))
        await server.stop()
    }

    @Test func connectionsThatEndEarlyAreTold() async throws {
        let nothing = try await failure(nil)
        #expect(nothing?.kind == .closed && nothing?.message.contains("without an answer") == true)
    }

    @Test func whatIsTooLargeIsRefused() async throws {
        let told = try await failure("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        #expect(told?.kind == .tooLarge && told?.message.contains("more than 1000 bytes") == true)
        let untold = try await failure(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n" + String(repeating: "x", count: 1001))
        #expect(untold?.kind == .tooLarge)
        let head = try await failure(
            "HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: HTTPExchange.headLimit + 1))
        #expect(head?.kind == .tooLarge && head?.message.contains("head of the answer") == true)
    }

    @Test func whatIsNoHTTPIsNamed() async throws {
        let error = try await failure("SSH-2.0-OpenSSH_9.2\r\n")
        #expect(error?.kind == .malformed && error?.message.contains("check host and port") == true)
        #expect(try await failure("HTTP/1.1 200 OK\r\nbro ken: x\r\n\r\n")?.kind == .malformed)
    }

    @Test func theDeadlineCoversTheWholeAnswer() async throws {
        let error = try await failure(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", deadline: .milliseconds(60))
        #expect(error?.kind == .timeout && error?.message.contains("no whole answer within 60 ms") == true)
        let silent = try await failure("", deadline: .milliseconds(40))
        #expect(silent?.kind == .timeout)
    }

    @Test func aCancelledTaskLetsGoAtOnce() async throws {
        let server = try await ScriptedServer.start([{ _ in "" }])
        let task = Task { try await get(server, deadline: .seconds(3600)) }
        while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
        task.cancel()
        #expect(await #expect(throws: HTTPError.self) { try await task.value }?.kind == .cancelled)
        await server.stop()
    }

    @Test func aPortThatNobodyServesIsNamed() async throws {
        let server = try await ScriptedServer.start([])
        await server.stop()
        let error = await #expect(throws: HTTPError.self) { try await get(server) }
        #expect(error?.kind == .connect)
        #expect(error?.message.contains("cannot connect to 127.0.0.1:\(server.port)") == true)
    }

    @Test func aProxyIsGivenTheWholeURL() async throws {
        let server = try await ScriptedServer.start([{ _ in "HTTP/1.1 204 No Content\r\n\r\n" }])
        let proxy = HTTPProxy(host: "127.0.0.1", port: server.port, user: "Aladdin", password: "open sesame")
        let response = try await HTTPExchange.perform(
            HTTPRequest("GET", try HTTPURL("http://metadata.example/a?b")), tls: nil, proxy: proxy,
            deadline: .seconds(30), on: loop)
        #expect(response.status == 204)
        #expect(server.requests[0].hasPrefix("GET http://metadata.example/a?b HTTP/1.1\r\nHost: metadata.example\r\n"))
        #expect(server.requests[0].contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"))
        await server.stop()
    }

    @Test func aHeaderFieldCannotSmuggleALine() async throws {
        let url = try HTTPURL("http://127.0.0.1:1/")
        for bad in [("X", "c4nary\r\nY: 1"), ("X Y", "1"), ("", "1"), ("X", "ü")] {
            let request = HTTPRequest("GET", url, headers: [(name: bad.0, value: bad.1)])
            let error = await #expect(throws: HTTPError.self) {
                try await HTTPExchange.perform(request, tls: nil, deadline: .seconds(1), on: loop)
            }
            #expect(error?.kind == .invalidRequest && error?.message.contains("c4nary") == false)
        }
        let secure = HTTPRequest("GET", try HTTPURL("https://127.0.0.1:1/"))
        let error = await #expect(throws: HTTPError.self) {
            try await HTTPExchange.perform(secure, tls: nil, deadline: .seconds(1), on: loop)
        }
        #expect(error?.kind == .invalidRequest)
    }

    // MARK: URLs

    @Test func urlsAreTakenApart() throws {
        func parts(_ text: String) throws -> String {
            let url = try HTTPURL(text)
            return "\(url.isSecure) \(url.host) \(url.port) \(url.path) \(url.authority) \(url)"
        }
        #expect(try parts("http://a") == "false a 80 / a http://a/")
        #expect(try parts("https://a:8443/b/c?d=e#f") == "true a 8443 /b/c?d=e a:8443 https://a:8443/b/c")
        #expect(try parts("https://[::1]?q") == "true ::1 443 /?q [::1] https://[::1]/")
        #expect(try parts("http://[::1]:81/x") == "false ::1 81 /x [::1]:81 http://[::1]:81/x")
        for bad in [
            "", "a", "ftp://a", "http://", "http://a:b", "http://a:0", "http://u@a/", "http://[::1", "http://[::1]x/",
            "http://a/ b", "http://a/\r\nX:", "http://ü/",
        ] {
            #expect(throws: HTTPError.self, "\(bad)") { try HTTPURL(bad) }
        }
    }

    @Test func mutatedURLsNeverTrap() {
        for var generator in [SeededGenerator(seed: 11), .fresh("URLs")] {
            for _ in 0..<2000 {
                let bytes = generator.mutate(Array("https://[::1]:8443/metadata/token?resource=a%20b#x".utf8))
                guard let url = try? HTTPURL(String(decoding: bytes, as: UTF8.self)) else { continue }
                #expect(!url.host.isEmpty && (1...65535).contains(url.port) && url.path.hasPrefix("/"))
            }
        }
    }

    @Test func mutatedAnswersEndInAResponseOrAnError() async throws {
        let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello".utf8)
        for generator in [SeededGenerator(seed: 12), .fresh("HTTP answers")] {
            var generator = generator
            for _ in 0..<60 {
                let text = String(decoding: generator.mutate(answer), as: UTF8.self)
                let server = try await ScriptedServer.start([{ _ in text }])
                do {
                    let response = try await get(server, deadline: .milliseconds(100))
                    #expect((100...999).contains(response.status) && response.body.count <= 1000)
                } catch is HTTPError {
                }
                await server.stop()
            }
        }
    }

    @Test func neitherHeadersNorBodiesShow() throws {
        let request = HTTPRequest(
            "POST", try HTTPURL("https://a/b?secret=c4nary"), headers: [("X", "c4nary")], body: Array("c4nary".utf8))
        let response = HTTPResponse(status: 200, headers: [("X", "c4nary")], body: Array("c4nary".utf8))
        for thing in [request, response] as [Any] {
            var dumped = ""
            dump(thing, to: &dumped)
            for text in ["\(thing)", String(reflecting: thing), dumped] { #expect(!text.contains("c4nary"), "\(text)") }
        }
    }
}
