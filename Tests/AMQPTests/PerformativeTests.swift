import NIOCore
import TestSupport
import Testing

@testable import AMQP

@Suite struct PerformativeTests {
    static let attachCapture = bytes(
        "00 53 12 c0 c9 0e a1 24", Text("0f6ea4a2-8f5c-4f6b-9f6e-6b6f0f1a2b3c"), "52 03 56 00 50 00 50 01",
        "00 53 28 c0 3d 0b a1 30", Text("sender-link-0f6ea4a2-8f5c-4f6b-9f6e-6b6f0f1a2b3c"),
        "40 40 40 40 40 40 40 40 40 40",
        "00 53 29 c0 31 07 a1 28", Text("amqps://localhost:44321/hub/Partitions/1"), "40 40 40 40 40 40",
        "40 40 43 44 40 40",
        "c1 1a 02 a3 15", Text("com.microsoft:timeout"), "55 3c")

    static var samples: [Performative] {
        var open = Open(containerID: "c")
        open.hostname = "ns.servicebus.windows.net"
        open.maxFrameSize = 65536
        open.channelMax = 4999
        open.idleTimeOut = 240_000
        open.outgoingLocales = ["en-US"]
        open.desiredCapabilities = ["a", "b"]
        open.properties[symbol: "product"] = .string("tailrace")
        var begin = Begin(nextOutgoingID: 1, incomingWindow: 5000, outgoingWindow: 5000)
        begin.remoteChannel = 0
        begin.handleMax = 255
        begin.properties[symbol: "x"] = .null
        var attach = Attach(name: "link", handle: 3, role: .receiver)
        attach.senderSettleMode = .settled
        attach.receiverSettleMode = .second
        var source = Source(address: "a")
        source.durable = 2
        source.expiryPolicy = "never"
        source.timeout = 7
        source.dynamic = true
        source.dynamicNodeProperties[symbol: "lifetime"] = .string("x")
        source.distributionMode = "copy"
        source.filter[symbol: "apache.org:selector-filter:string"] =
            .described(descriptor: .ulong(0x468C_0000_0004), value: .string("amqp.annotation.x-opt-offset > '1'"))
        source.defaultOutcome = .modified(deliveryFailed: true, undeliverableHere: false, annotations: AMQPMap())
        source.outcomes = ["amqp:accepted:list", "amqp:rejected:list"]
        source.capabilities = ["queue"]
        attach.source = source
        var target = Target(address: "b")
        target.durable = 1
        target.expiryPolicy = "link-detach"
        target.timeout = 1
        target.capabilities = ["c"]
        attach.target = target
        attach.unsettled = AMQPMap([.init(.binary(ByteBuffer(bytes: [1])), .null)])
        attach.incompleteUnsettled = true
        attach.initialDeliveryCount = 9
        attach.maxMessageSize = 1 << 40
        attach.offeredCapabilities = ["com.microsoft:idempotent-producer"]
        attach.properties[symbol: "com.microsoft:timeout"] = .uint(60000)
        var flow = Flow(nextIncomingID: 0, incomingWindow: 5000, nextOutgoingID: 1, outgoingWindow: .max)
        flow.handle = 0
        flow.deliveryCount = 4
        flow.linkCredit = 100
        flow.available = 3
        flow.drain = true
        flow.echo = true
        flow.properties[symbol: "p"] = .boolean(false)
        var transfer = Transfer(handle: 2)
        transfer.deliveryID = 77
        transfer.deliveryTag = ByteBuffer(bytes: [0, 0, 0, 1])
        transfer.messageFormat = 0x8001_3700
        transfer.settled = false
        transfer.more = true
        transfer.receiverSettleMode = .second
        transfer.state = .received(sectionNumber: 1, sectionOffset: 300)
        transfer.resume = true
        transfer.aborted = true
        transfer.batchable = true
        var samples: [Performative] = [
            .open(Open(containerID: "")), .open(open),
            .begin(Begin(nextOutgoingID: 0, incomingWindow: 0, outgoingWindow: 0)),
            .begin(begin), .attach(Attach(name: "", handle: 0, role: .sender)), .attach(attach),
            .flow(Flow(nextIncomingID: nil, incomingWindow: 1, nextOutgoingID: 2, outgoingWindow: 3)), .flow(flow),
            .transfer(Transfer(handle: 0)), .transfer(transfer), .end(End()), .close(Close()),
            .end(End(error: AMQPError("amqp:session:window-violation", "too many"))),
            .close(
                Close(
                    error: AMQPError(
                        "amqp:connection:forced", "idle", info: AMQPMap([.init(.symbol("k"), .string("v"))])))),
        ]
        var detach = Detach(handle: 1)
        samples.append(.detach(detach))
        detach.closed = true
        detach.error = AMQPError("amqp:link:detach-forced")
        samples.append(.detach(detach))
        let states: [DeliveryState?] = [
            nil, .accepted, .released, .rejected(nil), .rejected(AMQPError("com.microsoft:server-busy", "50002")),
            .modified(
                deliveryFailed: false, undeliverableHere: true, annotations: AMQPMap([.init(.symbol("a"), .null)])),
            .other(descriptor: .ulong(0x34), value: .list([.binary(ByteBuffer(bytes: [9]))])),
        ]
        for state in states {
            var disposition = Disposition(role: .receiver, first: 3, last: state == nil ? nil : 9)
            disposition.settled = true
            disposition.state = state
            disposition.batchable = true
            samples.append(.disposition(disposition))
        }
        return samples
    }

    @Test func everyPerformativeComesBack() throws {
        for sample in Self.samples {
            var buffer = ByteBuffer()
            sample.encode(into: &buffer)
            buffer.writeString("payload")
            #expect(try Performative(from: &buffer) == sample)
            #expect(String(buffer: buffer) == "payload")
        }
    }

    @Test func capturedAttachIsRead() throws {
        var buffer = Self.attachCapture
        guard case .attach(let attach) = try Performative(from: &buffer) else {
            Issue.record("no attach")
            return
        }
        #expect(attach.handle == 3)
        #expect(attach.role == .sender)
        #expect(attach.senderSettleMode == .unsettled)
        #expect(attach.receiverSettleMode == .second)
        #expect(attach.target?.address == .string("amqps://localhost:44321/hub/Partitions/1"))
        #expect(attach.initialDeliveryCount == 0)
        #expect(attach.maxMessageSize == 0)
        #expect(attach.properties[symbol: "com.microsoft:timeout"] == .long(60))
        #expect(buffer.readableBytes == 0)
    }

    @Test func performativesCarryAllTheirFields() {
        var buffer = ByteBuffer()
        Performative.close(Close()).encode(into: &buffer)
        #expect(buffer.hex == "005318c0020140")
        buffer.clear()
        Performative.transfer(Transfer(handle: 0)).encode(into: &buffer)
        #expect(buffer.hex == "005314c00c0b4340404040404040404040")
        buffer.clear()
        var disposition = Disposition(role: .receiver, first: 1)
        disposition.settled = true
        disposition.state = .accepted
        Performative.disposition(disposition).encode(into: &buffer)
        #expect(buffer.hex == "005315c00b0641520140410053244540")
    }

    @Test func symbolicDescriptorsAreUnderstood() throws {
        var buffer = bytes("00 a3 0f", Text("amqp:close:list"), "45")
        #expect(try Performative(from: &buffer) == .close(Close()))
        var disposition = bytes("00 53 15 c0 1b 05 41 43 40 41 00 a3 12", Text("amqp:accepted:list"), "45")
        var expected = Disposition(role: .receiver, first: 0)
        expected.settled = true
        expected.state = .accepted
        #expect(try Performative(from: &disposition) == .disposition(expected))
    }

    @Test func fieldsOfLaterVersionsAreSkipped() throws {
        var buffer = hex("00 53 16 c0 08 05 43 41 40 a1 01 78 43")
        var expected = Detach(handle: 0)
        expected.closed = true
        #expect(try Performative(from: &buffer) == .detach(expected))
        #expect(buffer.readableBytes == 0)
    }

    @Test func missingAndMistypedFieldsAreErrors() {
        func kind(_ text: String) -> AMQPCodecError.Kind? {
            var buffer = hex(text)
            do throws(AMQPCodecError) {
                _ = try Performative(from: &buffer)
                return nil
            } catch {
                return error.kind
            }
        }
        #expect(kind("00531045") == .missingField)
        #expect(kind("005314c0020140") == .missingField)
        #expect(kind("005314c00301a100") == .unexpectedType)
        #expect(kind("00539945") == .unexpectedType)
        #expect(kind("c0020143") == .unexpectedType)
        #expect(kind("005312c00704a1004342 5009") == .invalidValue)
        #expect(kind("005316c0020143") == nil)
        // A field that runs past the end of its list.
        #expect(kind("005316c00201520100") == .truncated)
    }

    @Test func mutatedPerformativesNeverTrap() {
        let samples = Self.samples.map { sample in
            var buffer = ByteBuffer()
            sample.encode(into: &buffer)
            return Array(buffer.readableBytesView)
        }
        for var generator in [SeededGenerator(seed: 5), .fresh("mutated performatives")] {
            for sample in samples {
                for _ in 0..<80 {
                    var buffer = ByteBuffer(bytes: generator.mutate(sample))
                    if let performative = try? Performative(from: &buffer) {
                        var again = ByteBuffer()
                        performative.encode(into: &again)
                        #expect((try? Performative(from: &again)).map { "\($0)" } == "\(performative)")
                    }
                }
            }
        }
    }
}
