/// How a producer shares its topic with others.
package struct ProducerAccessMode: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let shared = ProducerAccessMode(rawValue: 0)
    package static let exclusive = ProducerAccessMode(rawValue: 1)
    package static let waitForExclusive = ProducerAccessMode(rawValue: 2)
    package static let exclusiveWithFencing = ProducerAccessMode(rawValue: 3)
}
