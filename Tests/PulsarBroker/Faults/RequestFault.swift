package import NIOCore
package import Pulsar

/// A command other than SEND that reached the broker, as a fault script sees it.
package struct BrokerRequest: Sendable {
    /// Counts commands of this type over the broker's life, from 0.
    package var number: Int
    package var command: Command
    /// Which of the broker's connections, counted from 0.
    package var connection: Int
}

/// What a fault script can make of it.
package enum RequestFault: Sendable {
    /// The broker does nothing but send these.
    case answer([Command])
    case silence
    /// The connection is cut.
    case drop
    /// Looked at only after this time; what comes behind it is not held up.
    case delay(TimeAmount)
}
