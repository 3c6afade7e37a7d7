internal import NIOCore

/// Why a delivery was not taken.
package enum SendRefusal: Error, Hashable, Sendable {
    /// The link is over, or was never there.
    case noLink
    /// As many deliveries as `SessionConfiguration.queueLimit` wait already.
    case queueFull
    /// Larger than the peer's max-message-size (bytes).
    case tooLarge(limit: UInt64)
    /// A delivery tag has at most 32 bytes.
    case tagTooLong
}

extension SessionMachine {
    /// Queues a delivery; `pump` sends it when credit and window allow.
    mutating func send(_ linkID: LinkID, _ delivery: OutgoingDelivery, token: UInt64) -> SendRefusal? {
        guard links[linkID.handle]?.id == linkID else { return .noLink }
        let refusal = links[linkID.handle]?.enqueue(delivery, token: token, limit: configuration.queueLimit)
        if let refusal = refusal ?? nil { return refusal }
        markReady(linkID.handle)
        return nil
    }

    /// Puts a link into the round if it has something to send or a drain to answer.
    mutating func markReady(_ handle: UInt32) {
        if links[handle]?.becomeReady() == true { ready.append(handle) }
    }

    /// There is something to send, and the peer's window has room for it.
    var canPump: Bool { state == .mapped && !ready.isEmpty && remoteIncomingWindow > 0 }

    /// Sends transfer frames, link by link in turn, until `budget` bytes are spent or nothing may be sent.
    mutating func pump(budget: inout Int, _ out: inout ConnectionActions) {
        guard state == .mapped else { return }
        while budget > 0, let handle = ready.popFirst() {
            guard let canSend = links[handle]?.canSend else { continue }
            guard canSend else {
                links[handle]?.sender.isReady = false
                finishDrain(handle, &out)
                continue
            }
            guard remoteIncomingWindow > 0 else {
                ready.prepend(handle)
                return
            }
            if sendFront(handle, &budget, &out) {
                ready.append(handle)
            } else {
                ready.prepend(handle)
            }
        }
    }

    /// Sends frames of the link's first delivery. False: it is not done, for want of window or budget.
    private mutating func sendFront(_ handle: UInt32, _ budget: inout Int, _ out: inout ConnectionActions) -> Bool {
        // Taken out while it is worked on, so that the queue's payload is not copied by being shared.
        guard var queued = links[handle]?.sender.queue.popFirst(), let linkID = links[handle]?.id else { return true }
        var first = false
        var number: UInt32 = 0
        let deliveryID: UInt32
        if let id = queued.deliveryID {
            deliveryID = id
        } else {
            first = true
            deliveryID = nextDeliveryID
            nextDeliveryID &+= 1
            number = links[handle]?.countDelivery() ?? 0
            queued.deliveryID = deliveryID
            if !queued.delivery.settled {
                unsettledOut[deliveryID] = Unsettled(handle: handle, token: queued.token)
            }
        }
        if queued.abandoned {
            var abort = Transfer(handle: handle)
            abort.deliveryID = deliveryID
            abort.aborted = true
            countTransfer()
            out.append(.send(channel: id.channel, .transfer(abort), payload: nil))
            links[handle]?.sender.queuedBytes -= queued.delivery.payload.readableBytes
            return true
        }
        while true {
            guard remoteIncomingWindow > 0, budget > 0 else {
                links[handle]?.sender.queue.prepend(queued)
                return false
            }
            var transfer = Transfer(handle: handle)
            if first {
                transfer.deliveryID = deliveryID
                transfer.deliveryTag = queued.delivery.tag ?? ByteBuffer(integer: number)
                transfer.messageFormat = queued.delivery.messageFormat
                transfer.settled = queued.delivery.settled
            }
            first = false
            let left = queued.delivery.payload.readableBytes
            var room = maximumFrameSize - Self.largestTransferHeader
            if left > room {
                transfer.more = true
                room = max(1, maximumFrameSize - FrameEncoder.headSize(transfer))
                transfer.more = left > room
            }
            guard let slice = queued.delivery.payload.readSlice(length: min(left, room)) else {
                preconditionFailure("a slice no longer than its buffer")
            }
            countTransfer()
            budget -= slice.readableBytes + Self.largestTransferHeader
            links[handle]?.sender.queuedBytes -= slice.readableBytes
            let more = transfer.more
            out.append(.send(channel: id.channel, .transfer(transfer), payload: slice))
            if !more { break }
        }
        if queued.delivery.settled {
            out.append(.event(.result(linkID, token: queued.token, .sentSettled)))
        }
        return true
    }

    /// A frame whose header is certain to be no longer than this needs no exact arithmetic.
    static var largestTransferHeader: Int { 128 }

    private mutating func countTransfer() {
        nextOutgoingID &+= 1
        remoteIncomingWindow -= 1
    }

    private mutating func finishDrain(_ handle: UInt32, _ out: inout ConnectionActions) {
        guard let link = links[handle], link.sender.drain, link.state == .attached else { return }
        links[handle]?.sender.deliveryCount &+= link.sender.credit
        links[handle]?.sender.credit = 0
        if let link = links[handle] { send(flow(of: link), &out) }
        links[handle]?.sender.drain = false
    }

    // MARK: Dispositions

    mutating func receive(_ disposition: Disposition, _ out: inout ConnectionActions) {
        let last = disposition.last ?? disposition.first
        guard SerialNumber.distance(last, from: disposition.first) >= 0 else {
            end(
                AMQPError(
                    AMQPCondition.invalidField,
                    "disposition from \(disposition.first) to \(last): the range runs backwards"),
                &out)
            return
        }
        switch disposition.role {
        case .receiver:
            let ids = Self.ids(in: unsettledOut, from: disposition.first, to: last)
            var settledHere: [UInt32] = []
            for deliveryID in ids {
                guard disposition.settled || disposition.state?.isTerminal == true else { continue }
                guard let entry = unsettledOut.removeValue(forKey: deliveryID) else { continue }
                if !disposition.settled { settledHere.append(deliveryID) }
                guard let link = links[entry.handle] else { continue }
                if let front = link.sender.queue.first, front.deliveryID == deliveryID {
                    links[entry.handle]?.sender.queue[0].abandoned = true
                }
                let state = disposition.state ?? link.sender.defaultOutcome
                out.append(.event(.result(link.id, token: entry.token, .settled(state))))
            }
            settleAsSender(settledHere, state: disposition.state, &out)
        case .sender:
            for deliveryID in Self.ids(in: unsettledIn, from: disposition.first, to: last) where disposition.settled {
                guard let handle = unsettledIn.removeValue(forKey: deliveryID), let link = links[handle] else {
                    continue
                }
                links[handle]?.receiver.unsettled -= 1
                out.append(
                    .event(.settledBySender(link.id, deliveryID: deliveryID, state: disposition.state)))
                topUpCredit(handle, &out)
            }
        }
    }

    /// The receiver named an outcome without settling: the sender settles (part 2, section 2.6.12), in ranges.
    private func settleAsSender(_ ids: [UInt32], state: DeliveryState?, _ out: inout ConnectionActions) {
        var index = 0
        while index < ids.count {
            var end = index
            while end + 1 < ids.count, ids[end + 1] == ids[end] &+ 1 { end += 1 }
            var answer = Disposition(role: .sender, first: ids[index], last: end == index ? nil : ids[end])
            answer.settled = true
            answer.state = state
            out.append(.send(channel: id.channel, .disposition(answer), payload: nil))
            index = end + 1
        }
    }

    /// The keys of `map` in the range, in order; never more work than the smaller of the two.
    private static func ids<Value>(in map: [UInt32: Value], from first: UInt32, to last: UInt32) -> [UInt32] {
        let span = Int(last &- first)
        if span <= map.count {
            return (0...span).map { first &+ UInt32($0) }.filter { map[$0] != nil }
        }
        return map.keys.filter { $0 &- first <= UInt32(span) }.sorted { $0 &- first < $1 &- first }
    }
}

extension DeliveryState {
    /// An outcome, as opposed to a report on the way.
    var isTerminal: Bool {
        switch self {
        case .accepted, .rejected, .released, .modified: true
        case .received, .other: false
        }
    }
}
