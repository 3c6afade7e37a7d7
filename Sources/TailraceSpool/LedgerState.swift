/// What one output has had acknowledged.
package struct LedgerState: Equatable, Sendable {
    /// A producer that a service keeps a number for: of Event Hubs, a producer group and its owner level.
    package struct Producer: Equatable, Sendable {
        package var groupID: Int64
        package var ownerLevel: Int16

        package init(groupID: Int64, ownerLevel: Int16) {
            self.groupID = groupID
            self.ownerLevel = ownerLevel
        }
    }

    package struct Partition: Equatable, Sendable {
        /// The next id wanted: everything of this partition below is acknowledged.
        package var acknowledged: UInt64
        /// The number that the service gave to the last acknowledged record; -1 before the first.
        package var serviceNumber: Int64
        /// Whose numbers those are; nil: the records went out without numbers.
        package var producer: Producer?
        /// So many records from `acknowledged` on the service has as well: it said so before the owner level of `producer`
        /// was taken, and under that nothing was sent since. Nil: `serviceNumber` tells.
        package var found: UInt32?

        package init(acknowledged: UInt64, serviceNumber: Int64 = -1, producer: Producer? = nil) {
            self.acknowledged = acknowledged
            self.serviceNumber = serviceNumber
            self.producer = producer
        }
    }

    /// Which part of a record decides its partition. Kinds that are not named here are kept as they are.
    package struct KeyKind: RawRepresentable, Equatable, Sendable {
        package var rawValue: UInt8

        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Written by format 1, which did not tell.
        package static let unknown = KeyKind(rawValue: 0)
        package static let host = KeyKind(rawValue: 1)
        package static let source = KeyKind(rawValue: 2)
    }

    /// Every id below is acknowledged, in all partitions.
    package var floor: UInt64
    /// Counts the changes of the routing: of the partition count or of the key's kind.
    package var generation: UInt64
    package var keyKind: KeyKind
    package var partitions: [Partition]

    package init(
        floor: UInt64, generation: UInt64 = 0, keyKind: KeyKind = .unknown, partitions: [Partition] = []
    ) {
        self.floor = floor
        self.generation = generation
        self.keyKind = keyKind
        self.partitions = partitions
    }

    /// One more than the highest id that is known to have been used.
    var highestSequence: UInt64 { partitions.reduce(floor) { max($0, $1.acknowledged) } }
}
