import NIOCore
import TestSupport
import Testing

@testable import Transports

@Suite struct HTTPHeadTests {
    private static let answer =
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nvia:  a \r\nVia: b, c\r\n\r\nrest"

    private func parse(_ text: String, pieces: Int = .max) throws -> (HTTPHead?, rest: String) {
        var parser = HTTPHeadParser(startingWith: "HTTP/1.")
        var whole = ByteBuffer(string: text)
        while whole.readableBytes > 0 {
            guard var piece = whole.readSlice(length: min(pieces, whole.readableBytes)) else { break }
            if let head = try parser.receive(&piece) {
                piece.writeBuffer(&whole)
                return (head, String(buffer: piece))
            }
        }
        return (nil, "")
    }

    @Test func aHeadIsTheSameHoweverItIsCut() throws {
        for pieces in [1, 2, 3, 7, .max] {
            let (head, rest) = try parse(Self.answer, pieces: pieces)
            #expect(head?.status?.code == 407)
            #expect(head?.statusText == "407 Proxy Authentication Required")
            #expect(head?["proxy-authenticate"] == "Basic realm=\"x\"")
            #expect(head?.list("VIA") == ["a", "b", "c"])
            #expect(head?.has("B", in: "via") == true && head?.has("d", in: "via") == false)
            #expect(head?["absent"] == nil)
            #expect(rest == "rest")
        }
    }

    @Test func bareLineFeedsEndLinesToo() throws {
        let (head, rest) = try parse("HTTP/1.0 200\nA: b\n\nx")
        #expect(head?.status?.code == 200 && head?.statusText == "200" && head?["a"] == "b" && rest == "x")
    }

    @Test func whatIsNoHTTPIsRefusedAtTheFirstByteThatDiffers() throws {
        #expect(throws: HTTPHeadError.notHTTP("HTTX\u{B7}p\u{B7}")) { try parse("HTTX\u{1B}p\n") }
        #expect(throws: HTTPHeadError.notHTTP("220 smtp")) { try parse("220 smtp") }
        #expect(throws: HTTPHeadError.self) { try parse("HTTP/1.1 200 OK\r\nno field\r\n\r\n") }
        #expect(throws: HTTPHeadError.self) { try parse("HTTP/1.1 200 OK\r\n: nameless\r\n\r\n") }
        #expect(throws: HTTPHeadError.self) { try parse("HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n") }
    }

    @Test func aHeadThatDoesNotEndIsCutOffAtTheLimit() throws {
        #expect(throws: HTTPHeadError.tooLong) {
            try parse("HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: HTTPHeadParser.limit))
        }
        let line = "A: b\r\n"
        let start = "HTTP/1.1 200 OK\r\n"
        let fields = String(repeating: line, count: (HTTPHeadParser.limit - start.utf8.count - 2) / line.utf8.count)
        #expect(try parse(start + fields + "\r\n").0 != nil)
    }

    @Test func hostileHeadsNeverTrap() {
        for seed in 0..<300 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var fresh = SeededGenerator(seed: UInt64.random(in: 0 ... .max))
            for bytes in [generator.mutate(Array(Self.answer.utf8)), fresh.mutate(Array(Self.answer.utf8))] {
                var parser = HTTPHeadParser(startingWith: "HTTP/1.")
                var input = ByteBuffer(bytes: bytes)
                do {
                    if let head = try parser.receive(&input) {
                        _ = head.statusText
                        _ = head.list("via")
                    }
                } catch {
                    #expect("\(error)".utf8.count < 2000)
                }
            }
        }
    }
}
