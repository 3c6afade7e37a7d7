/// What a TOPIC_MIGRATED is about.
package struct ResourceType: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let producer = ResourceType(rawValue: 0)
    package static let consumer = ResourceType(rawValue: 1)
}
