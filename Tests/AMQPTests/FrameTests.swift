import NIOCore
import TestSupport
import Testing

@testable import AMQP

@Suite struct FrameTests {
    private func failure(_ bytes: ByteBuffer, limit: UInt32 = 65536) -> AMQPCodecError? {
        var buffer = bytes
        var decoder = FrameDecoder(maximumFrameSize: limit)
        do throws(AMQPCodecError) {
            _ = try decoder.decode(buffer: &buffer)
            return nil
        } catch {
            return error
        }
    }

    @Test func capturedSASLInitIsReadAndWritten() throws {
        let capture = bytes(
            "00000026 02 01 0000 00 53 41 c0 19 03 a3 09", Text("ANONYMOUS"), "a0 00 a1 09", Text("localhost"))
        let expected = SASLFrame.initial(mechanism: "ANONYMOUS", response: ByteBuffer(), hostname: "localhost")
        var decoder = FrameDecoder()
        var buffer = capture
        #expect(try decoder.decode(buffer: &buffer) == .sasl(expected))
        var written = ByteBuffer()
        FrameEncoder.write(expected, into: &written)
        #expect(written == capture)
    }

    @Test func framesOfAllKindsComeThroughWhateverTheCuts() throws {
        var stream = ByteBuffer()
        var expected: [Frame] = [.header(.sasl), .header(.tls), .header(.amqp)]
        for header in [ProtocolHeader.sasl, .tls, .amqp] { header.encode(into: &stream) }
        for (index, performative) in PerformativeTests.samples.enumerated() {
            FrameEncoder.write(
                channel: UInt16(index), performative, payload: ByteBuffer(string: "p\(index)"), into: &stream)
            expected.append(
                .amqp(channel: UInt16(index), performative: performative, payload: ByteBuffer(string: "p\(index)")))
            FrameEncoder.writeEmpty(into: &stream)
            expected.append(.amqp(channel: 0, performative: nil, payload: ByteBuffer()))
        }
        for var generator in [SeededGenerator(seed: 1), .fresh("frame cuts")] {
            var decoder = FrameDecoder()
            var rest = stream
            var received = ByteBuffer()
            var frames: [Frame] = []
            while rest.readableBytes > 0 {
                let count = min(rest.readableBytes, Int.random(in: 1...40, using: &generator))
                if var piece = rest.readSlice(length: count) { received.writeBuffer(&piece) }
                while let frame = try decoder.decode(buffer: &received) { frames.append(frame) }
            }
            #expect(frames == expected)
            #expect(received.readableBytes == 0)
        }
    }

    @Test func aTransferHeadCountsThePayloadThatFollowsIt() throws {
        var transfer = Transfer(handle: 1)
        transfer.deliveryID = 300
        let payload = ByteBuffer(repeating: 7, count: 1000)
        var buffer = ByteBuffer()
        FrameEncoder.writeHead(channel: 2, transfer, payloadBytes: 1000, into: &buffer)
        #expect(buffer.readableBytes == FrameEncoder.headSize(transfer))
        buffer.writeImmutableBuffer(payload)
        var decoder = FrameDecoder()
        #expect(
            try decoder.decode(buffer: &buffer)
                == .amqp(channel: 2, performative: .transfer(transfer), payload: payload))
    }

    @Test func anExtendedHeaderIsSkipped() throws {
        var decoder = FrameDecoder()
        var buffer = hex("00000014 04 00 0007 0102030405060708 00531845")
        #expect(
            try decoder.decode(buffer: &buffer)
                == .amqp(channel: 7, performative: .close(Close()), payload: ByteBuffer()))
        var empty = hex("0000000c 03 00 0000 01020304")
        #expect(try decoder.decode(buffer: &empty) == .amqp(channel: 0, performative: nil, payload: ByteBuffer()))
    }

    @Test func malformedFramesAreErrorsThatSayWhere() {
        #expect(failure(hex("00000007 02 00 0000"))?.kind == .malformedFrame)
        #expect(failure(hex("00000008 01 00 0000"))?.kind == .malformedFrame)
        #expect(failure(hex("00000008 03 00 0000"))?.kind == .malformedFrame)
        #expect(failure(hex("00000008 02 02 0000"))?.offset == 5)
        #expect(failure(hex("0000000c 02 00 0000 00531899"))?.offset == 11)
        #expect(failure(hex("0000000c 02 01 0000 00531845"))?.kind == .unexpectedType)
        #expect(failure(hex("00000008 02 01 0000"))?.kind == .truncated)
    }

    @Test func aFrameBeyondTheLimitFailsBeforeItsBytesArrive() {
        #expect(failure(hex("00010001"))?.kind == .limitExceeded)
        #expect(failure(hex("00010000")) == nil)
        #expect(failure(hex("ffffffff"), limit: .max)?.kind == .limitExceeded)
        // No limit below what every peer must accept.
        #expect(failure(hex("00000200"), limit: 1) == nil)
    }

    @Test func mutatedStreamsNeverTrap() {
        var stream = ByteBuffer()
        ProtocolHeader.amqp.encode(into: &stream)
        for performative in PerformativeTests.samples.prefix(6) {
            FrameEncoder.write(channel: 0, performative, into: &stream)
        }
        FrameEncoder.write(.mechanisms(["PLAIN", "ANONYMOUS"]), into: &stream)
        FrameEncoder.write(.outcome(.authentication, additionalData: ByteBuffer(bytes: [1])), into: &stream)
        let whole = Array(stream.readableBytesView)
        for var generator in [SeededGenerator(seed: 6), .fresh("mutated streams")] {
            for _ in 0..<400 {
                var buffer = ByteBuffer(bytes: generator.mutate(whole))
                var decoder = FrameDecoder(maximumFrameSize: 4096)
                do {
                    while try decoder.decode(buffer: &buffer) != nil {}
                } catch {
                    #expect(!error.message.isEmpty)
                }
            }
        }
    }
}
