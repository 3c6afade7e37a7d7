/// Whether an ACK is about one message or about all up to it.
package struct AcknowledgementType: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let individual = AcknowledgementType(rawValue: 0)
    package static let cumulative = AcknowledgementType(rawValue: 1)
}
