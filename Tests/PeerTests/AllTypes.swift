import AMQP
import NIOCore

/// The message that `Python/values.py` builds with Qpid Proton: every type of AMQP 1.0, every section.
enum AllTypes {
    static let simple: [(String, AMQPValue)] = [
        ("null", .null),
        ("true", .boolean(true)),
        ("false", .boolean(false)),
        ("ubyte", .ubyte(255)),
        ("ushort", .ushort(65535)),
        ("uint0", .uint(0)),
        ("uint-small", .uint(255)),
        ("uint", .uint(.max)),
        ("ulong0", .ulong(0)),
        ("ulong-small", .ulong(255)),
        ("ulong", .ulong(.max)),
        ("byte", .byte(-128)),
        ("short", .short(-32768)),
        ("int-small", .int(-128)),
        ("int", .int(.min)),
        ("long-small", .long(127)),
        ("long", .long(.min)),
        ("float", .float(0.5)),
        ("double", .double(1e300)),
        ("char", .char("🦆")),
        ("timestamp", .timestamp(-62_135_596_800_000)),
        ("uuid", .uuid(AMQPUUID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF))),
        ("binary", .binary(ByteBuffer(bytes: 0...255))),
        ("binary-empty", .binary(ByteBuffer())),
        ("string", .string("ünïcödé 🦆")),
        ("string-long", .string(String(repeating: "x", count: 300))),
        ("symbol", .symbol("a-symbol")),
    ]

    private static let compound: [AMQPValue] = [
        .decimal32(0x1234_5678),
        .decimal64(0x1234_5678_9ABC_DEF0),
        .decimal128(AMQPUUID(high: 0x0001_0203_0405_0607, low: 0x0809_0A0B_0C0D_0E0F)),
        .list([]),
        .list([.int(1), .list([.string("nested"), .list([.null])])]),
        .map(
            AMQPMap([
                .init(.symbol("key"), .string("value")), .init(.string("list"), .list([.ubyte(1)])),
                .init(.long(5), .map(AMQPMap())),
            ])),
        .array([.int(-1), .int(100_000)]),
        .array([.string("a"), .string(String(repeating: "b", count: 300))]),
        .array([.symbol("one")]),
        .described(descriptor: .symbol("a:descriptor"), value: .string("described")),
        .described(descriptor: .ulong(1 << 40), value: .list([.int(1)])),
    ]

    /// Everything that a body may be, one by one.
    static let values = simple.map(\.1) + compound

    static var message: AMQPMessage {
        var message = AMQPMessage(body: .value(.list(values)))
        message.header = AMQPMessage.Header(durable: true, priority: 9, timeToLive: 60_500)
        message.deliveryAnnotations[symbol: "instruction"] = .boolean(true)
        message.messageAnnotations[symbol: "x-opt-annotation"] = .long(1)
        message.messageAnnotations[symbol: "x-opt-text"] = .string("text")
        message.applicationProperties = AMQPMap(
            simple.map { .init(.string($0.0), $0.1) }
                + (0..<300).map { .init(.string("property-\($0)"), .int(Int32($0))) })
        var properties = AMQPMessage.Properties()
        properties.messageID = .ulong(7)
        properties.userID = ByteBuffer(string: "user")
        properties.to = .string("to")
        properties.subject = "subject"
        properties.replyTo = .string("reply-to")
        properties.correlationID = .string("correlation")
        properties.contentType = "text/plain"
        properties.contentEncoding = "identity"
        properties.absoluteExpiryTime = 1_000_500
        properties.creationTime = 999_250
        properties.groupID = "group"
        properties.groupSequence = 4_000_000_000
        properties.replyToGroupID = "reply-group"
        message.properties = properties
        return message
    }
}
