import AMQP
import EventHubs
import NIOCore
import TailraceSpool
import TestSupport
import Testing

@testable import LocalHub

@Suite struct HubPartsTests {
    @Test func selectorsOfTheOfficialClientsAreUnderstood() {
        let cases: [(String, EventPosition?)] = [
            ("amqp.annotation.x-opt-offset > '-1'", .earliest),
            ("amqp.annotation.x-opt-offset > '@latest'", .latest),
            ("amqp.annotation.x-opt-offset >= '128'", .offset(128, inclusive: true)),
            ("amqp.annotation.x-opt-sequence-number > '7'", .sequenceNumber(7, inclusive: false)),
            ("amqp.annotation.x-opt-sequence-number >= 7", .sequenceNumber(7, inclusive: true)),
            (
                "amqp.annotation.x-opt-enqueued-time > '1700000000000'",
                .enqueuedTime(1_700_000_000_000, inclusive: false)
            ),
            ("amqp.annotation.x-opt-enqueuedtimeutc >= 5", .enqueuedTime(5, inclusive: true)),
            ("amqp.annotation.x-opt-offset > ''", nil), ("amqp.annotation.x-opt-offset > '", nil),
            ("x-opt-offset > '1'", nil), ("", nil), ("amqp.annotation.>", nil),
            ("amqp.annotation.x-opt-color > '1'", nil), ("amqp.annotation.x-opt-offset > '99999999999999999999'", nil),
        ]
        for (text, position) in cases { #expect(EventPosition(selector: text) == position, "\(text)") }
    }

    @Test func offsetsAndSequenceNumbersAgree() {
        #expect(EventOffset.sequence(from: -1, inclusive: false) == 0)
        #expect(EventOffset.sequence(from: EventOffset.of(5), inclusive: false) == 6)
        #expect(EventOffset.sequence(from: EventOffset.of(5), inclusive: true) == 5)
        #expect(EventOffset.sequence(from: EventOffset.of(5) + 1, inclusive: true) == 6)
    }

    @Test func allFormsOfAnAddressNameTheSamePlace() throws {
        func address(_ text: String) throws -> HubAddress {
            try HubAddress(.string(text), hub: "Logs", partitionCount: 4)
        }
        for prefix in ["", "/", "amqps://host/", "amqps://host:5671/", "sb://HOST/"] {
            #expect(try address(prefix + "logs") == .hub)
            #expect(try address(prefix + "LOGS/") == .hub)
            #expect(try address(prefix + "logs/Partitions/3") == .partition(3))
            #expect(
                try address(prefix + "logs/ConsumerGroups/$Default/Partitions/0")
                    == .receiver(group: "$default", partition: 0))
            #expect(try address(prefix + "$cbs") == .claims)
            #expect(try address(prefix + "$management") == .management)
        }
        for text in [
            "", "other", "logs/Partitions", "logs/Partitions/4", "logs/Partitions/-1", "logs/Partitions/+1", "logs/x/1",
        ] {
            #expect(throws: AMQPError.self) { try address(text) }
        }
        #expect(throws: AMQPError.self) { try HubAddress(.null, hub: "logs", partitionCount: 1) }
    }

    static let now: Int64 = 1_600_000_000

    static func authorization(_ name: String = "RootManageSharedAccessKey", _ key: String = "SAS_KEY_VALUE")
        -> HubAuthorization
    {
        HubAuthorization(key: .init(name: name, value: key))
    }

    @Test func tokensOfTheOfficialClientAreAccepted() {
        // Both were computed with the Python package; it encodes the key's name twice.
        let first =
            "SharedAccessSignature sr=sb%3A%2F%2Fns.servicebus.windows.net%2Fhub"
            + "&sig=l%2BUgnjvCPLGvtfTpVTnAT3OfaUucrhjs7Fjz5HK%2BeWA%3D&se=1700000000&skn=RootManageSharedAccessKey"
        let second =
            "SharedAccessSignature sr=sb%3A%2F%2Fns.servicebus.windows.net%2Fmy+hub~1"
            + "&sig=kof7bFnx8%2BQOu4R580MatLKkOaaAgMCpu3xUQCX4f7Q%3D&se=1893456000&skn=send%252Fonly"
        #expect(
            Self.authorization().check(audience: "sb://ns.servicebus.windows.net/hub", token: first, now: Self.now)
                == .accepted(expiry: 1_700_000_000))
        #expect(
            Self.authorization("send/only", "a+b/c==").check(
                audience: "sb://ns.servicebus.windows.net/my hub~1", token: second, now: Self.now)
                == .accepted(expiry: 1_893_456_000))
    }

    @Test func wrongTokensAreRefusedWithTheReason() {
        func check(_ token: String, _ audience: String = "sb://ns/hub", now: Int64 = Self.now) -> String {
            switch Self.authorization().check(audience: audience, token: token, now: now) {
            case .accepted: "accepted"
            case .malformed: "malformed"
            case .refused(let text): String(text.prefix { $0 != ":" })
            }
        }
        func token(
            _ resource: String = "sb://ns/hub", _ name: String = "RootManageSharedAccessKey",
            _ key: String = "SAS_KEY_VALUE"
        ) -> String {
            SharedAccessSignature(resource: resource, keyName: name, key: key, expiry: Self.now + 10).token
        }
        #expect(check(token()) == "accepted")
        #expect(check(token("sb://ns/")) == "accepted")
        #expect(check(token(), "amqps://ns/hub/Partitions/1") == "accepted")
        #expect(check(token(), "sb://ns/hub2") == "InvalidAudience")
        #expect(check(token("sb://ns/hub/Partitions/1")) == "InvalidAudience")
        #expect(check(token(), now: Self.now + 10) == "ExpiredToken")
        #expect(check(token("sb://ns/hub", "RootManageSharedAccessKey", "other")) == "InvalidSignature")
        #expect(check(token("sb://ns/hub", "other")) == "the token names a key that this namespace does not have")
        #expect(check("") == "malformed")
        #expect(check("SharedAccessSignature sr=a&sig=%zz&se=1&skn=b") == "malformed")
        #expect(check("SharedAccessSignature sr=a&sig=YQ==&se=x&skn=b") == "malformed")
        #expect(check("SharedAccessSignature sr&sig&se&skn") == "malformed")
    }

    @Test(arguments: [1, 2, 3, nil] as [UInt64?])
    func noMutatedTokenIsAccepted(seed: UInt64?) {
        var generator = seed.map(SeededGenerator.init(seed:)) ?? .fresh("noMutatedTokenIsAccepted")
        let token = SharedAccessSignature(
            resource: "sb://ns/hub", keyName: "RootManageSharedAccessKey", key: "SAS_KEY_VALUE", expiry: Self.now + 10
        ).token
        for _ in 0..<500 {
            let mutated = String(decoding: generator.mutate(Array(token.utf8)), as: UTF8.self)
            let verdict = Self.authorization().check(audience: "sb://ns/hub", token: mutated, now: Self.now)
            guard case .accepted = verdict else { continue }
            // Only what leaves the signed parts alone: fields repeated or appended, hex digits in the other case.
            #expect(mutated.contains("sr=sb%3A%2F%2Fns%2Fhub") && mutated.contains("se=\(Self.now + 10)"), "\(mutated)")
        }
    }

    // MARK: - Messages

    private static func written(_ event: ByteBuffer, key: String? = nil) throws -> AMQPMessage {
        var output = ByteBuffer()
        EventMessage.write(
            event, EventMessage.Annotations(sequence: 42, enqueuedTime: 1000, partitionKey: key), into: &output)
        return try AMQPMessage(decoding: output)
    }

    @Test func annotationsJoinThoseOfTheEvent() throws {
        var message = AMQPMessage(body: .data([ByteBuffer(string: "body")]))
        message.header = AMQPMessage.Header(durable: true)
        message.messageAnnotations[symbol: "x-opt-partition-key"] = .string("own")
        message.messageAnnotations[symbol: "x-opt-sequence-number"] = .long(1)
        message.messageAnnotations[symbol: "other"] = .int(7)
        message.applicationProperties[string: "p"] = .string("v")
        let result = try Self.written(message.encoded(), key: "envelope")
        #expect(result.header?.durable == true)
        #expect(result.messageAnnotations[symbol: "x-opt-sequence-number"] == .long(42))
        #expect(result.messageAnnotations[symbol: "x-opt-offset"] == .string("336"))
        #expect(result.messageAnnotations[symbol: "x-opt-enqueued-time"] == .timestamp(1000))
        #expect(result.messageAnnotations[symbol: "x-opt-partition-key"] == .string("own"))
        #expect(result.messageAnnotations[symbol: "other"] == .int(7))
        #expect(result.messageAnnotations.entries.count == 5)
        #expect(result.applicationProperties == message.applicationProperties)
        #expect(result.text == "body")
    }

    @Test func plainEventsGetTheKeyOfTheirEnvelope() throws {
        let result = try Self.written(AMQPMessage(body: .data([ByteBuffer(string: "b")])).encoded(), key: "k")
        #expect(result.messageAnnotations[symbol: "x-opt-partition-key"] == .string("k"))
        #expect(result.text == "b")
    }

    @Test(arguments: [1, 2, 3, nil] as [UInt64?])
    func anyStoredBytesBecomeAMessage(seed: UInt64?) throws {
        var generator = seed.map(SeededGenerator.init(seed:)) ?? .fresh("anyStoredBytesBecomeAMessage")
        var message = AMQPMessage(body: .data([ByteBuffer(string: "body")]))
        message.header = AMQPMessage.Header(durable: true)
        message.messageAnnotations[symbol: "x-opt-partition-key"] = .string("own")
        let bytes = Array(message.encoded().readableBytesView)
        for _ in 0..<500 {
            let mutated = ByteBuffer(bytes: generator.mutate(bytes))
            var output = ByteBuffer()
            EventMessage.write(
                mutated, EventMessage.Annotations(sequence: 1, enqueuedTime: 2, partitionKey: nil), into: &output)
            #expect(output.readableBytes > mutated.readableBytes / 2)
            let batch = RecordBatch(capacity: max(1, mutated.readableBytes))
            _ = try? EventMessage.store(mutated, messageFormat: 0x8001_3700, in: batch)
            for index in 0..<batch.recordCount { _ = batch.body(index).count }
        }
    }
}
