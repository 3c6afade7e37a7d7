/// Where a new subscription begins.
package struct InitialPosition: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let latest = InitialPosition(rawValue: 0)
    package static let earliest = InitialPosition(rawValue: 1)
}
