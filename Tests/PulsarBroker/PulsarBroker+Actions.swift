package import Pulsar

/// What a test makes the broker do at a moment of its choice.
extension PulsarBroker {
    /// Cuts every connection without a word.
    package func dropConnections() async throws {
        try await onLoop { for connection in Array($0.connections.values) { connection.close() } }
    }

    /// Closes the producers of a topic, or all; their connections stay.
    ///
    /// - Parameter assigned: the URL of the new owner that the clients are told; nil: they must ask.
    package func closeProducers(of topic: String? = nil, assigned: String? = nil) async throws {
        try await onLoop { broker in
            broker.producers(of: topic) { $0.closeProducer($1, assigned: assigned) }
        }
    }

    /// Another broker of the cluster owns the topic from now on; producers are closed.
    ///
    /// - Parameter isTold: whether the clients are told which one.
    package func move(_ topic: String, to number: Int, isTold: Bool) async throws {
        try await onLoop { broker in
            broker.setOwner(of: topic, number)
            broker.producers(of: topic) { connection, producer in
                connection.closeProducer(
                    producer, assigned: isTold ? broker.url(of: .broker(number), tls: connection.usesTLS) : nil)
            }
        }
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
        try await onLoop { for topic in $0.topics.values { topic.resumeWrites(dropping: dropping) } }
    }

    func producers(of topic: String?, _ body: (BrokerConnection, BrokerProducer) -> Void) {
        for connection in Array(connections.values) {
            for producer in Array(connection.producers.values) where topic == nil || producer.topic.name == topic {
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
