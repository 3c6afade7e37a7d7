import TailraceSpool

/// A record of a world: the `number`th of its source.
package struct WorldRecord: Equatable, Hashable, Sendable, CustomStringConvertible {
    package var source: Int
    package var number: Int
    /// The service refuses it for good.
    package var isPoison: Bool

    package var description: String { "\(source)/\(number)\(isPoison ? "!" : "")" }

    static let size = 6

    /// The body: the record, its id, where a service is to tell it, and `padding` bytes.
    func body(id: UInt64? = nil, padding: Int) -> [UInt8] {
        let id = id.map { id in (0..<8).map { UInt8(truncatingIfNeeded: id >> ($0 * 8)) } }
        return [UInt8(source), UInt8(isPoison ? 1 : 0)]
            + (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } + (id ?? [])
            + Array(repeating: 0x2E, count: padding)
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

    /// Bytes of a body that tell both.
    static let size = WorldRecord.size + 8

    init(id: UInt64, record: WorldRecord) {
        self.id = id
        self.record = record
    }

    /// From a body that tells its id.
    init?(_ body: UnsafeRawBufferPointer) {
        guard body.count >= Self.size, let record = WorldRecord(body) else { return nil }
        self.record = record
        id = (0..<8).reduce(0) { $0 | UInt64(body[WorldRecord.size + $1]) << ($1 * 8) }
    }
}
