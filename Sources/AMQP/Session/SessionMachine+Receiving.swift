internal import NIOCore

extension SessionMachine {
    mutating func receive(_ transfer: Transfer, payload: ByteBuffer?, _ out: inout ConnectionActions) {
        guard incomingWindow > 0 else {
            end(
                AMQPError(
                    AMQPCondition.windowViolation,
                    "transfer beyond the incoming window of \(configuration.incomingWindow) frames"), &out)
            return
        }
        incomingWindow -= 1
        nextIncomingID = nextIncomingID.map { $0 &+ 1 }
        // Only scalars are read out here: a copy of the link would share, and so copy, the buffer that grows in it.
        guard let handle = remoteHandles[transfer.handle], let linkState = links[handle]?.state,
            let role = links[handle]?.role
        else {
            end(
                AMQPError(
                    AMQPCondition.unattachedHandle, "transfer names handle \(transfer.handle), which no link uses"),
                &out)
            return
        }
        if linkState == .attached {
            if role == .receiver {
                if let error = receive(transfer, payload: payload, handle: handle, &out) {
                    detach(handle, closed: true, error, &out)
                }
            } else {
                detach(
                    handle, closed: true, AMQPError(AMQPCondition.notAllowed, "transfer to the sender of the link"),
                    &out)
            }
        } else if linkState == .attachReceived {
            detach(
                handle, closed: true,
                AMQPError(AMQPCondition.transferLimitExceeded, "transfer before the link was attached"), &out)
        }
        guard state == .mapped else { return }
        if incomingWindow <= configuration.incomingWindow / 2 {
            incomingWindow = configuration.incomingWindow
            send(sessionFlow(), &out)
        }
    }

    /// An error means the link must go.
    private mutating func receive(
        _ transfer: Transfer, payload: ByteBuffer?, handle: UInt32, _ out: inout ConnectionActions
    ) -> AMQPError? {
        guard var receiver = links[handle]?.receiver, let linkID = links[handle]?.id else { return nil }
        // Taken out of the table while it grows, so that its buffer has one owner.
        links[handle]?.receiver.partial = nil
        let bytes = payload?.readableBytes ?? 0
        let limit =
            receiver.maximumMessageSize == 0
            ? configuration.messageSizeLimit : min(receiver.maximumMessageSize, configuration.messageSizeLimit)
        let before = receiver.partial?.payload.readableBytes ?? 0
        defer { links[handle]?.receiver = receiver }

        if receiver.partial == nil {
            guard let deliveryID = transfer.deliveryID, let tag = transfer.deliveryTag else {
                return AMQPError(
                    AMQPCondition.invalidField, "the first transfer of a delivery lacks a delivery-id or delivery-tag")
            }
            guard tag.readableBytes <= 32 else {
                return AMQPError(
                    AMQPCondition.invalidField, "a delivery-tag of \(tag.readableBytes) bytes; the limit is 32")
            }
            guard receiver.credit > 0 else {
                return AMQPError(AMQPCondition.transferLimitExceeded, "transfer without credit")
            }
            guard unsettledIn[deliveryID] == nil else {
                return AMQPError(AMQPCondition.invalidField, "delivery-id \(deliveryID) is in use")
            }
            receiver.credit -= 1
            receiver.deliveryCount &+= 1
            receiver.partial = LinkMachine.Receiver.Partial(
                id: deliveryID, tag: tag, messageFormat: transfer.messageFormat ?? 0, settled: false, state: nil,
                payload: ByteBuffer())
        } else if let deliveryID = transfer.deliveryID, deliveryID != receiver.partial?.id {
            reassemblyBytes -= before
            receiver.partial = nil
            return AMQPError(
                AMQPCondition.invalidField, "a transfer of delivery \(deliveryID) inside another unfinished delivery")
        }
        if transfer.aborted {
            reassemblyBytes -= before
            receiver.partial = nil
            return nil
        }
        guard UInt64(before) + UInt64(bytes) <= limit else {
            reassemblyBytes -= before
            receiver.partial = nil
            return AMQPError(AMQPCondition.messageSizeExceeded, "a delivery is larger than \(limit) bytes")
        }
        if transfer.settled == true { receiver.partial?.settled = true }
        if let state = transfer.state { receiver.partial?.state = state }
        if transfer.more {
            guard reassemblyBytes + bytes <= configuration.reassemblyLimit else {
                reassemblyBytes -= before
                receiver.partial = nil
                return AMQPError(
                    AMQPCondition.resourceLimitExceeded,
                    "unfinished deliveries of this session exceed \(configuration.reassemblyLimit) bytes")
            }
            reassemblyBytes += bytes
            if before == 0 {
                receiver.partial?.payload.reserveCapacity(max(bytes * 2, min(receiver.sizeHint, 4 << 20)))
            }
            if let payload { receiver.partial?.payload.writeImmutableBuffer(payload) }
            return nil
        }
        guard var whole = receiver.partial else { return nil }
        receiver.partial = nil
        reassemblyBytes -= before
        if before == 0 {
            whole.payload = payload ?? ByteBuffer()
        } else {
            if let payload { whole.payload.writeImmutableBuffer(payload) }
            receiver.sizeHint = whole.payload.readableBytes
        }
        if !whole.settled {
            unsettledIn[whole.id] = handle
            receiver.unsettled += 1
        }
        links[handle]?.receiver = receiver
        out.append(
            .event(
                .delivery(
                    linkID,
                    IncomingDelivery(
                        id: whole.id, tag: whole.tag, messageFormat: whole.messageFormat, settled: whole.settled,
                        payload: whole.payload, state: whole.state))))
        if whole.settled {
            topUpCredit(handle, &out)
            if let updated = links[handle]?.receiver { receiver = updated }
        }
        return nil
    }

    /// Answers deliveries; the answers of neighbours with one state go out as one range.
    ///
    /// `settled` false names the outcome and leaves the settling to the sender (receiver-settle-mode second).
    /// Deliveries that are settled already, or went with their link, are passed over.
    mutating func settle(
        _ first: UInt32, through last: UInt32, state deliveryState: DeliveryState?, settled: Bool,
        _ out: inout ConnectionActions
    ) {
        guard state == .mapped, SerialNumber.distance(last, from: first) >= 0 else { return }
        var deliveryID = first
        while true {
            if let handle = unsettledIn[deliveryID] {
                if settled {
                    unsettledIn[deliveryID] = nil
                    links[handle]?.receiver.unsettled -= 1
                }
                answer(deliveryID, deliveryState, settled, &out)
                if settled { topUpCredit(handle, &out) }
            }
            if deliveryID == last { return }
            deliveryID &+= 1
        }
    }

    private mutating func answer(
        _ deliveryID: UInt32, _ deliveryState: DeliveryState?, _ settled: Bool, _ out: inout ConnectionActions
    ) {
        if let pending = pendingDisposition {
            if deliveryID == pending.last &+ 1, pending.settled == settled, pending.state == deliveryState {
                pendingDisposition?.last = deliveryID
                return
            }
            flushDispositions(&out)
        }
        pendingDisposition = PendingDisposition(
            first: deliveryID, last: deliveryID, state: deliveryState, settled: settled)
    }
}
