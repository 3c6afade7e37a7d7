/// Literals stand for the AMQP types that keep every value of theirs: a string, a boolean, a double, and a long for whole
/// numbers (which a receiver may hold in 64 bits, whatever their size). Other types are named: `.int(5)`, `.timestamp(0)`.
extension AMQPValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByBooleanLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }

    public init(booleanLiteral value: Bool) { self = .boolean(value) }

    /// A long.
    public init(integerLiteral value: Int64) { self = .long(value) }

    public init(floatLiteral value: Double) { self = .double(value) }
}

/// `["host": "web-1", "attempts": 3, "ratio": 0.5]`: string keys, and values as the literals of `AMQPValue` say.
///
/// A key that comes twice is an entry that comes twice, as on the wire; the subscripts see the first.
extension AMQPMap: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (AMQPValue, AMQPValue)...) {
        self.init(elements.map { Entry($0.0, $0.1) })
    }
}
