internal import AMQP
internal import NIOCore
internal import TailraceSpool

/// Messages of events, from their arrival until the spool has them.
extension HubConnection {
    func store(
        _ link: LinkID, _ delivery: IncomingDelivery, _ partition: Int?, producer: (id: Int64, epoch: Int16)? = nil
    ) {
        let batch = hub.takeBatch()
        let key: String?
        do throws(AMQPCodecError) {
            key = try EventMessage.store(delivery.payload, messageFormat: delivery.messageFormat, in: batch)
        } catch {
            batch.recycle()
            let state = DeliveryState.rejected(AMQPError(AMQPCondition.decodeError, error.description))
            handler?.settle(link.session, delivery.id, state)
            return
        }
        if let key { batch.context = Array(key.utf8.prefix(Self.keyLimit)) }
        let index = partition ?? hub.route(key)
        let fault = hub.fault(
            HubDelivery(
                number: 0, partition: index, events: batch.recordCount, bytes: delivery.payload.readableBytes,
                payload: delivery.payload))
        switch fault {
        case .answer(let state):
            batch.recycle()
            handler?.settle(link.session, delivery.id, state)
            return
        case .end(let cut):
            batch.recycle()
            perform(cut, link)
            return
        default: break
        }
        guard batch.recordCount > 0 else {
            batch.recycle()
            handler?.settle(link.session, delivery.id, .accepted)
            return
        }
        let receipt = HubPartition.Receipt(
            connection: self, link: link, deliveryID: delivery.id, settled: delivery.settled, fault: fault)
        guard let producer else {
            hub.partitions[index].append(batch, receipt)
            return
        }
        var refusal: AMQPError?
        do throws(AMQPError) {
            refusal = hub.partitions[index].append(batch, try PublishedNumbers(batch), of: producer, receipt)
        } catch {
            refusal = error
        }
        guard let refusal else { return }
        batch.recycle()
        handler?.settle(link.session, delivery.id, .rejected(refusal))
    }

    /// Bytes of a partition key that are kept.
    private static let keyLimit = 1024

    /// The spool has what these speak for.
    func completed(_ completions: [HubPartition.Completion]) {
        for completion in completions {
            switch completion {
            case .stored(let receipt): stored(receipt)
            case .admitted(let admission): admitted(admission)
            }
        }
    }

    func stored(_ receipt: HubPartition.Receipt) {
        switch receipt.fault {
        case .storeThenEnd(let cut): perform(cut, receipt.link)
        case .silence: break
        case .hold: held.append(receipt)
        case .delay(let time):
            eventLoop.assumeIsolated().scheduleTask(in: time) { self.accept(receipt) }
        default: accept(receipt)
        }
    }

    func accept(_ receipt: HubPartition.Receipt) {
        guard !receipt.settled else { return }
        handler?.settle(receipt.link.session, receipt.deliveryID, .accepted)
    }
}
