import TailraceSpool

/// A record of a world: the `number`th of its source.
package struct WorldRecord: Equatable, Hashable, Sendable, CustomStringConvertible {
    package var source: Int
    package var number: Int
    /// The service refuses it for good.
    package var isPoison: Bool

    package var description: String { "\(source)/\(number)\(isPoison ? "!" : "")" }

    static let size = 6

    /// The body: the record, and `padding` bytes.
    func body(padding: Int) -> [UInt8] {
        [UInt8(source), UInt8(isPoison ? 1 : 0)]
            + (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } + Array(repeating: 0x2E, count: padding)
    }

    init(source: Int, number: Int, isPoison: Bool) {
        self.source = source
        self.number = number
        self.isPoison = isPoison
    }

    init?(_ body: UnsafeRawBufferPointer) {
        guard body.count >= Self.size else { return nil }
        source = Int(body[0])
        isPoison = body[1] == 1
        number = (0..<4).reduce(0) { $0 | Int(body[2 + $1]) << ($1 * 8) }
    }
}

/// A record with its id.
package struct Numbered: Equatable, Sendable {
    package var id: UInt64
    package var record: WorldRecord
}
