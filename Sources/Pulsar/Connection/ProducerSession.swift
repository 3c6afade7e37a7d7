/// A producer, as its connection sees it. Everything is called on the connection's event loop, and nothing after
/// `closedByBroker`, `migrated` or `connectionClosed`.
package protocol ProducerSession: AnyObject, Sendable {
    func receipt(_ receipt: SendReceiptCommand)
    func sendError(_ error: SendErrorCommand)
    /// The broker gave the producer up; the connection stays.
    func closedByBroker(_ command: CloseProducerCommand)
    /// The topic is in another cluster now.
    func migrated(_ command: TopicMigratedCommand)
    /// The second PRODUCER_SUCCESS: the wait for the topic is over.
    func producerReady(_ success: ProducerSuccessCommand)
    func connectionClosed(_ error: PulsarError)
    /// The connection takes bytes again after `PulsarConnection.isWritable` was false.
    func connectionIsWritable()
}

extension ProducerSession {
    package func connectionIsWritable() {}
}
