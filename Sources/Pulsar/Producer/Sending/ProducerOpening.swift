package import Producing

/// One attempt to have a broker take a producer.
package struct ProducerOpening: Hashable, Sendable {
    /// Where the broker is.
    package enum Place: Hashable, Sendable {
        /// Wherever the client's cluster says.
        case lookup
        /// There, without asking.
        case broker(BrokerAddress)
        /// Wherever this other cluster says.
        case cluster(ServiceURL)
    }

    /// Counts from 1; the epoch that the broker is told counts from 0.
    package let attempt: UInt64
    package let place: Place
    /// Nil: the broker shall choose. What it chose is kept.
    package let name: String?
    package let topicEpoch: UInt64?
    /// The name was chosen by the user.
    package let isNameGiven: Bool

    package var epoch: UInt64 { attempt - 1 }
}

/// How one concrete topic's producer behaves.
package struct ProducerMachineOptions: Sendable {
    /// Nil: the broker chooses.
    package var name: String?
    /// Instead of what the broker says of earlier ids.
    package var initialSequenceID: Int64?
    /// From its submission until a message without answer fails; nil: never.
    package var sendTimeout: Duration?
    /// For the first opening with all its attempts; nil: no limit.
    package var openingTimeout: Duration?
    /// Goes on trying where others would be told of the trouble: rights and quotas that may come back.
    package var isPatient: Bool
    package var backoff: RetryPolicy
    /// Of SENDs without an answer on one connection. One is always allowed.
    package var maximumBytesInFlight: Int
    /// A connection that has answered nothing for so long, of what it was given, is given up, and what waits is sent again
    /// over the next one; nil: never. For those without `sendTimeout`: a broker may answer PINGs and nothing else.
    package var answerTimeout: Duration?

    package init(
        name: String? = nil, initialSequenceID: Int64? = nil, sendTimeout: Duration? = .seconds(30),
        openingTimeout: Duration? = .seconds(30),
        isPatient: Bool = false, backoff: RetryPolicy = ConnectionSource.retryPolicy(PulsarClientOptions()),
        maximumBytesInFlight: Int = 16 << 20, answerTimeout: Duration? = nil
    ) {
        precondition(maximumBytesInFlight > 0)
        self.name = name
        self.initialSequenceID = initialSequenceID
        self.sendTimeout = sendTimeout
        self.openingTimeout = openingTimeout
        self.isPatient = isPatient
        self.backoff = backoff
        self.maximumBytesInFlight = maximumBytesInFlight
        self.answerTimeout = answerTimeout
    }
}
