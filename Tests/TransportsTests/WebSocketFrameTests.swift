import NIOCore
import TestSupport
import Testing

@testable import Transports

/// RFC 6455, with its own examples.
@Suite struct WebSocketFrameTests {
    private func events(
        _ bytes: [UInt8], fromClient: Bool = false, pieces: Int = .max
    ) throws -> [WebSocketFrameParser.Event] {
        var parser = WebSocketFrameParser(isFromClient: fromClient)
        var events: [WebSocketFrameParser.Event] = []
        var start = 0
        while start < bytes.count {
            let end = pieces < bytes.count - start ? start + pieces : bytes.count
            var piece = ByteBuffer(bytes: bytes[start..<end])
            while let event = try parser.next(&piece) {
                if case .bytes(var more) = event, case .bytes(var before)? = events.last {
                    before.writeBuffer(&more)
                    events[events.count - 1] = .bytes(before)
                } else {
                    events.append(event)
                }
            }
            #expect(piece.readableBytes == 0)
            start = end
        }
        return events
    }

    private func status(_ bytes: [UInt8], fromClient: Bool = false) -> UInt16? {
        do {
            _ = try events(bytes, fromClient: fromClient)
            return nil
        } catch WebSocketError.violation(let status, _) {
            return status
        } catch {
            return 0
        }
    }

    @Test func theAcceptValueIsTheOneOfTheRFC() {
        #expect(WebSocketUpgrade.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func framesOfTheRFCAreRead() throws {
        // Section 5.7, with the opcode of binary where it has text.
        let hello = ByteBuffer(string: "Hello")
        #expect(try events([0x82, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]) == [.bytes(hello)])
        let masked: [UInt8] = [0x82, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        for pieces in 1...11 {
            #expect(try events(masked, fromClient: true, pieces: pieces) == [.bytes(hello)])
        }
        let fragments: [UInt8] = [0x02, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F]
        #expect(try events(fragments) == [.bytes(hello)])
        let pinged: [UInt8] = [
            0x02, 0x03, 0x48, 0x65, 0x6C, 0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x80, 0x02, 0x6C, 0x6F,
        ]
        #expect(
            try events(pinged) == [.bytes(ByteBuffer(string: "Hel")), .ping(hello), .bytes(ByteBuffer(string: "lo"))])
        #expect(
            try events([0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58], fromClient: true) == [.pong])
        for (count, head) in [(256, [0x82, 0x7E, 0x01, 0x00]), (65536, [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])]
            as [(Int, [UInt8])]
        {
            let body = [UInt8](repeating: 9, count: count)
            #expect(try events(head + body, pieces: 1000) == [.bytes(ByteBuffer(bytes: body))])
        }
        #expect(try events([0x88, 0x00]) == [.close(status: nil, reason: "")])
        #expect(try events([0x88, 0x04, 0x03, 0xE9, 0x6F, 0x6B]) == [.close(status: 1001, reason: "ok")])
        #expect(try events([0x82, 0x00, 0x82, 0x00, 0x02, 0x00, 0x80, 0x00]) == [])
    }

    @Test func whatIsWrittenIsWhatTheRFCShows() {
        var buffer = ByteBuffer()
        let mask: UInt32 = UInt32(bigEndian: 0x37FA_213D)
        WebSocketFrame.writeControl(.pong, ByteBuffer(string: "Hello"), mask: mask, into: &buffer)
        #expect(Array(buffer.readableBytesView) == [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
        buffer.clear()
        WebSocketFrame.writeHead(.binary, length: 65536, mask: nil, into: &buffer)
        WebSocketFrame.writeHead(.binary, length: 256, mask: nil, into: &buffer)
        WebSocketFrame.writeHead(.binary, length: 125, mask: nil, into: &buffer)
        #expect(
            Array(buffer.readableBytesView)
                == [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0, 0x82, 0x7E, 0x01, 0x00, 0x82, 0x7D])
    }

    @Test func eachBreachHasItsStatus() {
        #expect(status([0x81, 0x01, 0x61]) == 1003, "text")
        #expect(status([0x83, 0x00]) == 1002, "unknown opcode")
        #expect(status([0xC2, 0x00]) == 1002, "reserved bit")
        #expect(status([0x82, 0x80, 0, 0, 0, 0]) == 1002, "masked by a server")
        #expect(status([0x82, 0x00], fromClient: true) == 1002, "not masked by a client")
        #expect(status([0x80, 0x00]) == 1002, "continuation of nothing")
        #expect(status([0x02, 0x00, 0x82, 0x00]) == 1002, "message inside a message")
        #expect(status([0x09, 0x00]) == 1002, "ping in pieces")
        #expect(status([0x89, 0x7E, 0x00, 0x7E]) == 1002, "ping of 126 bytes")
        #expect(status([0x88, 0x01, 0x03]) == 1002, "half a status")
        #expect(status([0x88, 0x02, 0x00, 0x01]) == 1002, "status 1")
        #expect(status([0x82, 0x7E, 0x00, 0x7D]) == 1002, "two bytes for 125")
        #expect(status([0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]) == 1002, "eight bytes for 65535")
        #expect(status([0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0]) == 1009, "2^63 bytes")
        #expect(status([0x82, 0x7F, 0, 0, 0, 0, 0x04, 0, 0, 0x01]) == 1009, "over the limit")
    }

    @Test func hostileFramesNeverTrap() {
        let start: [UInt8] = [
            0x02, 0x83, 1, 2, 3, 4, 0x48, 0x65, 0x6C, 0x89, 0x82, 9, 9, 9, 9, 1, 2, 0x80, 0xFE, 0, 130, 7, 7, 7, 7,
        ]
        let valid = start + [UInt8](repeating: 5, count: 130) + [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]
        var fresh = SeededGenerator.fresh("websocket frames")
        for seed in 0..<2000 as Range<UInt64> {
            var fixed = SeededGenerator(seed: seed)
            for bytes in [fixed.mutate(valid), fresh.mutate(valid)] {
                let pieces = Int.random(in: 1...40, using: &fresh)
                let whole = Result { try events(bytes, fromClient: true) }
                let cut = Result { try events(bytes, fromClient: true, pieces: pieces) }
                switch (whole, cut) {
                case (.success(let whole), .success(let cut)): #expect(whole == cut, "\(bytes) cut into \(pieces)")
                case (.failure, .failure): break
                default: Issue.record("\(bytes) cut into \(pieces): \(whole) and \(cut)")
                }
            }
        }
    }
}
