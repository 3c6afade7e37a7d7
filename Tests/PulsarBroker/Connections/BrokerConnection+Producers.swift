internal import NIOCore
internal import Pulsar

extension BrokerConnection {
    // MARK: - Opening and closing

    func open(_ command: ProducerCommand) {
        guard let topic = topic(command.topic, command.requestID) else { return }
        guard !topic.isTerminated else {
            return refuse(command.requestID, .topicTerminatedError, "Topic was already terminated")
        }
        guard let version = topic.schemas.version(of: command.schema) else {
            return refuse(command.requestID, .incompatibleSchema, "The topic's schema is of another type")
        }
        let name = command.producerName.flatMap { $0.isEmpty ? nil : $0 } ?? broker.newProducerName()
        let answer = topic.admission.enter(
            ProducerAdmission.Request(
                key: key(command.producerID), name: name, epoch: command.epoch ?? 0,
                mode: command.producerAccessMode ?? .shared, topicEpoch: command.topicEpoch))
        var producer = BrokerProducer(
            id: command.producerID, name: name, topic: topic, requestID: command.requestID,
            schemaVersion: version, isReady: true)
        switch answer {
        case .refused(let error, let message): return refuse(command.requestID, error, message)
        case .waiting:
            producer = BrokerProducer(
                id: command.producerID, name: name, topic: topic, requestID: command.requestID,
                schemaVersion: version, isReady: false)
            producers[producer.id] = producer
            welcome(producer, topicEpoch: nil)
        case .ready(let topicEpoch, let fenced):
            producers[producer.id] = producer
            for key in fenced { broker.fence(key) }
            welcome(producer, topicEpoch: topicEpoch)
        }
        closedProducers.remove(command.producerID)
    }

    private func welcome(_ producer: BrokerProducer, topicEpoch: UInt64?) {
        send(
            .producerSuccess(
                ProducerSuccessCommand(
                    requestID: producer.requestID, producerName: producer.name,
                    lastSequenceID: producer.topic.lastSequenceID(of: producer.name),
                    schemaVersion: producer.schemaVersion,
                    topicEpoch: topicEpoch, producerReady: producer.isReady)))
    }

    func key(_ producerID: UInt64) -> ProducerAdmission.Key { .init(connection: id, producerID: producerID) }

    /// It waited for exclusive access, and now has it.
    func promote(_ producerID: UInt64, topicEpoch: UInt64?) {
        guard let producer = producers[producerID] else { return }
        producer.isReady = true
        welcome(producer, topicEpoch: topicEpoch)
    }

    /// Another producer took the topic for itself.
    func fence(_ producerID: UInt64) {
        guard let producer = producers.removeValue(forKey: producerID) else { return }
        closedProducers.insert(producerID)
        guard producer.isReady else { return refuse(producer.requestID, .producerFenced, "Fenced out") }
        send(.closeProducer(CloseProducerCommand(producerID: producerID, requestID: .max)))
    }

    func close(_ command: CloseProducerCommand) {
        delayedProducers.remove(command.producerID)
        if let producer = producers.removeValue(forKey: command.producerID) {
            broker.leave(key(producer.id), producer.topic)
        }
        send(.success(SuccessCommand(requestID: command.requestID)))
    }

    /// The broker gives the topic away; the connection stays.
    func closeProducer(_ producer: BrokerProducer, assigned: String?) {
        guard producers.removeValue(forKey: producer.id) != nil else { return }
        closedProducers.insert(producer.id)
        var command = CloseProducerCommand(producerID: producer.id, requestID: .max)
        if let assigned {
            if assigned.hasPrefix("pulsar+ssl") {
                command.assignedBrokerServiceURLTLS = assigned
            } else {
                command.assignedBrokerServiceURL = assigned
            }
        }
        broker.leave(key(producer.id), producer.topic)
        send(.closeProducer(command))
    }

    // MARK: - Messages

    func receive(_ command: SendCommand, _ payload: FramePayload) {
        guard let producer = producers[command.producerID], producer.isReady else {
            // What was on its way when the broker closed the producer is dropped without a word.
            if !closedProducers.contains(command.producerID) { close() }
            return
        }
        if let (error, message) = mistake(command, payload, producer) {
            return answer(producer, [refusal(command, error, message)])
        }
        let fault = broker.fault(command, payload, producer)
        switch fault {
        case .refuse(let error, let message): return answer(producer, [refusal(command, error, message)])
        case .silence: return
        case .drop: return close()
        case .closeProducer(let assigned): return closeProducer(producer, assigned: assigned)
        case .stallWrites: producer.topic.stallWrites()
        case .failWrite:
            producer.topic.stallWrites()
        default: break
        }
        let ticket = producer.place()
        producer.topic.store(payload, command, from: producer.name) { [weak self] outcome in
            self?.stored(command, outcome, producer, ticket, fault)
        }
        if case .failWrite? = fault { producer.topic.resumeWrites(dropping: true) }
    }

    private func mistake(
        _ command: SendCommand, _ payload: FramePayload, _ producer: BrokerProducer
    ) -> (ServerError, String)? {
        if payload.checksum == .mismatch { return (.checksumError, "Checksum failed on the broker") }
        if producer.topic.isTerminated { return (.topicTerminatedError, "Topic was already terminated") }
        let limit = broker.configuration.maximumMessageSize ?? FrameDecoder.defaultMaximumMessageSize
        let size = payload.encodedMetadata.readableBytes + payload.payload.readableBytes
        // The parts of a chunked message are made to fit without the fields that say so.
        if command.isChunk != true, size > limit {
            return (.notAllowedError, "Exceed maximum message size: \(size) bytes of \(limit)")
        }
        guard let metadata = try? payload.metadata(), metadata.producerName == producer.name else {
            return (.metadataError, "the metadata are not those of a message of this producer")
        }
        return nil
    }

    private func refusal(_ command: SendCommand, _ error: ServerError, _ message: String) -> Command {
        .sendError(
            SendErrorCommand(
                producerID: command.producerID,
                sequenceID: max(command.sequenceID, command.highestSequenceID ?? 0), error: error, message: message))
    }

    private func answer(_ producer: BrokerProducer, _ commands: [Command]) {
        producer.put(commands, at: producer.place())
        flushAnswers(producer)
    }

    func flushAnswers(_ producer: BrokerProducer) {
        for command in producer.takeReady() { send(command) }
    }

    private func stored(
        _ command: SendCommand, _ outcome: Topic.Outcome, _ producer: BrokerProducer, _ ticket: Int,
        _ fault: SendFault?
    ) {
        guard state != .closed, producers[producer.id] === producer else { return }
        var commands = [receipt(command, outcome, producer.topic)]
        switch fault {
        case .storeThenDrop?: return close()
        case .storeThenCloseProducer(let assigned)?: return closeProducer(producer, assigned: assigned)
        case .storeSilently?: commands = []
        case .answerTwice?: commands += commands
        case .hold?: return producer.put(commands, at: ticket, isReady: false)
        case .answerLate(let time)?:
            producer.put(commands, at: ticket, isReady: false)
            _ = eventLoop?.scheduleTask(in: time) { [weak self] in
                producer.release(ticket)
                self?.flushAnswers(producer)
            }
            return
        default: break
        }
        producer.put(commands, at: ticket)
        flushAnswers(producer)
    }

    private func receipt(_ command: SendCommand, _ outcome: Topic.Outcome, _ topic: Topic) -> Command {
        var receipt = SendReceiptCommand(
            producerID: command.producerID, sequenceID: command.sequenceID,
            highestSequenceID: command.highestSequenceID)
        switch outcome {
        case .stored(let entry): receipt.messageID = topic.position(entry)
        case .duplicate: receipt.messageID = MessageIDData(ledgerID: -1, entryID: -1)
        case .unknown:
            return refusal(
                command, .persistenceError, "Cannot determine whether the message is a duplicate at this time")
        case .failed(let reason): return refusal(command, .persistenceError, reason)
        }
        return .sendReceipt(receipt)
    }
}
