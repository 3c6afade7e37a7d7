/// What happened in a world, as a number by which two runs are compared, and as text for people.
package struct WorldTrace {
    /// FNV-1a over all events.
    package private(set) var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    package private(set) var events = 0
    private let prints: Bool

    init(prints: Bool) { self.prints = prints }

    private mutating func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }

    private mutating func mix(_ value: UInt64) {
        hash = (hash ^ value) &* 0x100_0000_01B3
        hash ^= hash >> 29
    }

    /// - Parameter detail: only asked for to be printed.
    mutating func note(
        _ time: UInt64, _ what: StaticString, _ first: UInt64 = 0, _ second: UInt64 = 0,
        _ detail: @autoclosure () -> String = ""
    ) {
        events += 1
        mix(UInt64(UInt(bitPattern: what.utf8CodeUnitCount)))
        mix(time)
        mix(first)
        mix(second)
        guard prints else { return }
        let milliseconds = Double(time / 1000) / 1000
        print("\(milliseconds) ms  \(what) \(first) \(second) \(detail())")
    }

    /// For what has names.
    mutating func note(_ time: UInt64, _ what: StaticString, _ name: String, _ value: Int) {
        for byte in name.utf8 { mix(byte) }
        note(time, what, UInt64(bitPattern: Int64(value)), 0, name)
    }
}
