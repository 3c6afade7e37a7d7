/// How a LOOKUP ended.
package struct LookupResult: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let redirect = LookupResult(rawValue: 0)
    package static let connect = LookupResult(rawValue: 1)
    package static let failed = LookupResult(rawValue: 2)
}
