package import EventHubs

/// What `tailrace send` is to do.
package struct SendSettings: Sendable {
    /// Where the lines go.
    package enum Target: Equatable, Sendable {
        /// To any partition, as it suits the service; lines may change their order.
        case anyPartition
        /// To the partition of this key, in order.
        case key(String)
        /// To this partition, in order.
        case partition(String)
    }

    package var connectionString: Secret<EventHubsConnectionString>
    /// Nil: as the connection string says.
    package var eventHub: String?
    package var target = Target.anyPartition
    /// Bytes of a batch at most; nil: what the service takes, and not more than `defaultBatchBytes`.
    package var maximumBatchBytes: Int?
    package var maximumBatchEvents = 100_000
    /// How long a line may wait for others to fill its batch.
    package var maximumWait = Duration.milliseconds(100)
    /// How long a batch is tried, from its first transmission on; and how long the hub may take to answer at first.
    package var timeout = Duration.seconds(60)
    /// Numbers the events, so that a batch that is sent again is not stored again.
    package var isIdempotent = false
    package var options = EventHubsOptions()
    /// Nil: lines go into batches here, and those into the connection.
    package var buffering: Buffering?

    /// Room for the lines of a buffered client, per partition: from the taking to the service's answer.
    package struct Buffering: Sendable {
        package var maximumEvents = 10_000
        package var maximumBytes = 8 << 20

        package init() {}
    }

    /// More saves nothing and costs memory.
    package static let defaultBatchBytes = 1 << 20

    package init(connectionString: Secret<EventHubsConnectionString>) { self.connectionString = connectionString }

    /// As it connects, and how long one attempt lasts.
    var clientOptions: EventHubsOptions {
        var options = options
        options.userAgent = options.userAgent ?? "tailrace-send/\(Version.text)"
        options.sendTimeout = min(options.sendTimeout, timeout)
        return options
    }
}

/// How far a sending is.
package struct SendProgress: Equatable, Sendable {
    /// Events that the service has, and their bytes without line ends.
    package var events: UInt64 = 0
    package var bytes: UInt64 = 0
    /// Events in batches that are waiting or on their way.
    package var inFlight = 0
    /// Events that were given up.
    package var failed: UInt64 = 0
    /// Batches sent again whose first outcome was not known: where duplicates come from.
    package var unknownOutcomes: UInt64 = 0
    package var retries: UInt64 = 0
    /// Why events were given up: each reason once, the first `maximumReasons` of them, with the number of events.
    package var reasons: [(text: String, events: UInt64)] = []

    package static let maximumReasons = 3

    mutating func noteFailure(_ reason: String, events: Int) {
        failed += UInt64(events)
        if let index = reasons.firstIndex(where: { $0.text == reason }) {
            reasons[index].events += UInt64(events)
        } else if reasons.count < Self.maximumReasons {
            reasons.append((reason, UInt64(events)))
        }
    }

    package static func == (a: SendProgress, b: SendProgress) -> Bool {
        a.events == b.events && a.bytes == b.bytes && a.inFlight == b.inFlight && a.failed == b.failed
    }
}
