package import NIOCore
package import Pulsar

/// A SEND that reached the broker, as a fault script sees it.
package struct BrokerSend: Sendable {
    /// Counts SENDs over the broker's life, from 0.
    package var number: Int
    package var topic: String
    package var producerName: String
    package var command: SendCommand
    package var payload: FramePayload

    /// What it would store, message by message.
    package var messages: [StoredMessage] { (try? StoredMessage.all(in: payload, number: number)) ?? [] }
}

/// What a fault script can make of a SEND. Receipts of one producer keep their order, whatever is late.
///
/// A broker that deduplicates and stores a message, but not the one before it, has lost that one for good: sent again, it is
/// a duplicate by its id. Real brokers see to it that this does not happen, by closing the producer; a script may do it.
package enum SendFault: Sendable {
    /// Not stored, and answered with this error.
    case refuse(ServerError, String)
    /// Not stored, and never answered; those behind it are.
    case silence
    /// Not stored; the connection is cut.
    case drop
    /// Not stored; the broker closes the producer instead, as `PulsarBroker.closeProducers` does.
    case closeProducer(assigned: String?)
    /// Stored, and never answered; those behind it are.
    case storeSilently
    /// Stored; the connection is cut before the receipt.
    case storeThenDrop
    /// Stored; the broker closes the producer before the receipt.
    case storeThenCloseProducer(assigned: String?)
    case answerTwice
    /// Stored, and answered only after this time, as all that come behind it.
    case answerLate(TimeAmount)
    /// Stored, and answered when `PulsarBroker.releaseHeld` is called, as all that come behind it.
    case hold
    /// This one and those behind it are pushed to storage, but not persisted, until `PulsarBroker.resumeWrites`: sent
    /// again meanwhile, the broker cannot tell whether they are duplicates.
    case stallWrites
    /// The write fails: PersistenceError, it is not stored, and the topic's producers are closed.
    case failWrite
}
