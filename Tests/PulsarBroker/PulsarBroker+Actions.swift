package import Pulsar

/// What a test makes the broker do at a moment of its choice.
extension PulsarBroker {
    /// What can happen to a broker at any time.
    package enum Event: Sendable {
        /// Every connection is cut without a word.
        case connectionsDrop
        /// The producers of a topic, or all, are closed; their connections stay. With the URL of the new owner that the
        /// clients are told; nil: they must ask.
        case producersClose(topic: String?, assigned: String?)
        /// Another broker of the cluster owns the topic from now on; producers are closed. Clients may be told which one.
        case topicMoves(String, to: Int, isTold: Bool)
        /// A topic has so many partitions; they only ever get more.
        case partitionsCome(to: String, Int)
        /// As `SendFault.stallWrites`, before anything is sent.
        case writesWait(topic: String)
        /// Writes go on after `SendFault.stallWrites`, or fail instead.
        case writesGoOn(topic: String?, dropping: Bool)
    }

    /// Takes place on the broker's event loop, soon.
    package func happen(_ event: Event) { loop.execute { self.take(event) } }

    private func take(_ event: Event) {
        switch event {
        case .connectionsDrop: for connection in inOrder { connection.close() }
        case .producersClose(let topic, let assigned): producers(of: topic) { $0.closeProducer($1, assigned: assigned) }
        case .topicMoves(let topic, let number, let isTold):
            setOwner(of: topic, number)
            producers(of: topic) { connection, producer in
                connection.closeProducer(
                    producer, assigned: isTold ? url(of: .broker(number), tls: connection.usesTLS) : nil)
            }
        case .partitionsCome(let topic, let count): setPartitionCount(of: topic, count)
        case .writesWait(let topic): topics[topic]?.stallWrites()
        case .writesGoOn(let name, let dropping):
            for topic in topics.sorted(by: { $0.key < $1.key }).map(\.value) where name == nil || topic.name == name {
                topic.resumeWrites(dropping: dropping)
            }
        }
    }

    /// Cuts every connection without a word.
    package func dropConnections() async throws { try await onLoop { $0.take(.connectionsDrop) } }

    /// Closes the producers of a topic, or all; their connections stay.
    ///
    /// - Parameter assigned: the URL of the new owner that the clients are told; nil: they must ask.
    package func closeProducers(of topic: String? = nil, assigned: String? = nil) async throws {
        try await onLoop { $0.take(.producersClose(topic: topic, assigned: assigned)) }
    }

    /// Another broker of the cluster owns the topic from now on; producers are closed.
    ///
    /// - Parameter isTold: whether the clients are told which one.
    package func move(_ topic: String, to number: Int, isTold: Bool) async throws {
        try await onLoop { $0.take(.topicMoves(topic, to: number, isTold: isTold)) }
    }

    /// TOPIC_MIGRATED to every producer and consumer of the topic.
    package func migrate(_ topic: String, to url: String?, tls: String? = nil) async throws {
        try await onLoop { broker in
            for connection in broker.connections.values {
                func tell(_ id: UInt64, _ type: ResourceType) {
                    connection.send(
                        .topicMigrated(
                            TopicMigratedCommand(
                                resourceID: id, resourceType: type, brokerServiceURL: url, brokerServiceURLTLS: tls)))
                }
                for producer in connection.producers.values where producer.topic.name == topic {
                    tell(producer.id, .producer)
                }
                for consumer in connection.consumers.values where consumer.subscription.topic.name == topic {
                    tell(consumer.id, .consumer)
                }
            }
        }
    }

    /// Nothing more can be sent to the topic.
    package func terminate(_ topic: String) async throws {
        try await onLoop { try $0.topic(topic).isTerminated = true }
    }

    /// AUTH_CHALLENGE on every connection.
    package func challenge() async throws {
        try await onLoop { for connection in $0.connections.values { connection.challenge() } }
    }

    /// Any command to every client, whatever it makes of it.
    package func say(_ command: Command) async throws {
        try await onLoop { for connection in $0.connections.values { connection.send(command) } }
    }

    /// Sends the receipts that `SendFault.hold` holds.
    package func releaseHeld() async throws {
        try await onLoop { broker in
            broker.producers(of: nil) { connection, producer in
                producer.releaseAll()
                connection.flushAnswers(producer)
            }
        }
    }

    /// Goes on after `SendFault.stallWrites`.
    ///
    /// - Parameter dropping: the writes fail instead.
    package func resumeWrites(dropping: Bool = false) async throws {
        try await onLoop { $0.take(.writesGoOn(topic: nil, dropping: dropping)) }
    }

    /// Connections in the order of their coming.
    private var inOrder: [BrokerConnection] { connections.sorted { $0.key < $1.key }.map(\.value) }

    func producers(of topic: String?, _ body: (BrokerConnection, BrokerProducer) -> Void) {
        for connection in inOrder {
            for producer in connection.inOrder where topic == nil || producer.topic.name == topic {
                body(connection, producer)
            }
        }
    }

    // MARK: - Looking

    package struct Statistics: Sendable {
        package var connections: Int
        package var connectionsAccepted: Int
        package var producers: Int
        /// Entries by topic.
        package var entries: [String: Int]
        /// Entries that were not stored again.
        package var duplicates: Int
    }

    package var statistics: Statistics {
        get async throws {
            try await onLoop { broker in
                Statistics(
                    connections: broker.connections.count, connectionsAccepted: broker.connectionsAccepted,
                    producers: broker.connections.values.reduce(0) { $0 + $1.producers.count },
                    entries: broker.topics.mapValues(\.log.count),
                    duplicates: broker.topics.values.reduce(0) { $0 + $1.duplicates })
            }
        }
    }

    /// What a topic holds, message by message.
    package func messages(of topic: String) async throws -> [StoredMessage] {
        try await onLoop { broker in
            let topic = try broker.topic(topic)
            return try (0..<topic.log.count).flatMap { try StoredMessage.all(in: topic.log.entry($0), number: $0) }
        }
    }
}
