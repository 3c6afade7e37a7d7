package import Producing
internal import TailraceSpool

/// Which part of a record's context decides its partition, and so what is kept in order.
package enum RoutingKey: String, Equatable, Sendable, CaseIterable {
    case host, source

    /// As the ledger keeps it.
    var kind: LedgerState.KeyKind {
        switch self {
        case .host: .host
        case .source: .source
        }
    }
}

package struct DrainConfiguration: Sendable {
    /// The output's name in the configuration; names the thread and the dead-letter area.
    package var name: String
    package var key = RoutingKey.host
    /// The partition (below the count) of a key: a pure function, the same in every process, for ever.
    package var partition: @Sendable (_ key: String, _ partitionCount: Int) -> Int
    /// Records of one batch at most.
    package var maximumBatchRecords = 50_000
    /// How long a batch may wait to become full while there is more to read. When there is not, nothing waits.
    package var maximumWait = Duration.milliseconds(5)
    /// Bytes of batches that are open, waiting or in flight, of all partitions together; exceeded by at most one batch.
    package var memoryLimit = 8 << 20
    /// The same for one partition.
    package var laneLimit = 4 << 20
    /// Batches in flight per partition, with a service that numbers records and refuses a batch whose predecessor it
    /// does not have. With any other it is one: a refusal would change the order.
    package var window = 4
    package var retry = RetryPolicy()
    /// Acknowledgements of a service that knows what it has are gathered this long before the ledger is written. Of another
    /// each is written before the next batch of its partition goes out.
    package var ledgerInterval = Duration.milliseconds(10)
    /// While nothing waits for it, the end of a transmission is heard of along with whatever comes next; after this time by
    /// itself.
    package var settleInterval = Duration.milliseconds(10)
    /// Sources whose routing is remembered.
    package var routeLimit = 1024
    /// How long to wait before reading again after the spool could not be read.
    package var readRetryInterval = Duration.seconds(1)
    /// Where the jitter of retries comes from.
    package var random: @Sendable () -> any RandomNumberGenerator = { SystemRandomNumberGenerator() }

    package init(name: String, partition: @escaping @Sendable (_ key: String, _ partitionCount: Int) -> Int) {
        self.name = name
        self.partition = partition
    }
}

/// Why a drain cannot start.
package enum DrainError: Error, Equatable, CustomStringConvertible {
    /// The destination says something that cannot be.
    case destination(String)
    /// The ledger is ahead of the spool.
    case ledgerAhead(floor: UInt64, next: UInt64)

    package var description: String {
        switch self {
        case .destination(let text): text
        case .ledgerAhead(let floor, let next):
            "the ledger has acknowledged the records below \(floor), but the spool's next record is \(next): the spool "
                + "was replaced by an older one; restore it, or move the ledger away to send everything again"
        }
    }
}
