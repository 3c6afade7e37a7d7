/// How the consumers of a subscription share its messages.
package struct SubscriptionType: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let exclusive = SubscriptionType(rawValue: 0)
    package static let shared = SubscriptionType(rawValue: 1)
    package static let failover = SubscriptionType(rawValue: 2)
    package static let keyShared = SubscriptionType(rawValue: 3)
}
