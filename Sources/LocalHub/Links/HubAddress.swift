internal import AMQP

/// What a link's address names on this hub.
enum HubAddress: Equatable {
    case claims
    case management
    /// Producers: the hub routes.
    case hub
    /// Producers: this partition.
    case partition(Int)
    /// Receivers.
    case receiver(group: String, partition: Int)

    /// - Throws: what the service says to an address that is none of its own.
    init(_ address: AMQPValue, hub: String, partitionCount: Int) throws(AMQPError) {
        guard case .string(let text) = address else {
            throw AMQPError(AMQPCondition.invalidField, "the link's address is missing or no string")
        }
        let path = HubAuthorization.path(text)
        switch path.first {
        case "$cbs" where path.count == 1:
            self = .claims
            return
        case "$management" where path.count == 1:
            self = .management
            return
        default: break
        }
        guard path.first == hub.lowercased()[...] else {
            throw AMQPError(AMQPCondition.notFound, "the messaging entity '\(text)' could not be found")
        }
        switch path.dropFirst().map({ $0 }) {
        case []: self = .hub
        case ["$management"]: self = .management
        case let rest where rest.count == 2 && rest[0] == "partitions":
            self = .partition(try Self.partition(rest[1], partitionCount))
        case let rest where rest.count == 4 && rest[0] == "consumergroups" && rest[2] == "partitions":
            self = .receiver(group: String(rest[1]), partition: try Self.partition(rest[3], partitionCount))
        default: throw AMQPError(AMQPCondition.notFound, "the messaging entity '\(text)' could not be found")
        }
    }

    private static func partition(_ text: Substring, _ count: Int) throws(AMQPError) -> Int {
        guard let number = Int(text), (0..<count).contains(number), String(number) == text else {
            throw AMQPError(
                "com.microsoft:argument-out-of-range",
                "the specified partition \(text) is invalid; it should be between 0 and \(count - 1)")
        }
        return number
    }
}
