internal import NIOCore

extension SessionMachine {
    // MARK: From the peer

    mutating func receive(_ attach: Attach, serial: inout UInt32, _ out: inout ConnectionActions) {
        guard attach.handle <= configuration.handleMax else {
            // Part 2, section 2.7.2: a handle above handle-max ends the session, for the peer was told.
            end(
                AMQPError(
                    AMQPCondition.notAllowed,
                    "attach uses handle \(attach.handle), above this session's handle-max \(configuration.handleMax)"),
                &out)
            return
        }
        guard remoteHandles[attach.handle] == nil else {
            end(AMQPError(AMQPCondition.handleInUse, "attach uses handle \(attach.handle), which is in use"), &out)
            return
        }
        let key = LinkKey(name: attach.name, role: attach.role.other)
        if let handle = names[key], let link = links[handle] {
            if link.remoteHandle == nil, link.state == .attachSent || link.state == .detachSent {
                receiveAnswer(attach, handle: handle, link, &out)
                return
            }
            // The same name again: the newer attach takes the link over.
            detach(handle, closed: true, AMQPError(AMQPCondition.stolen, "a newer attach took this link's name"), &out)
        }
        guard state == .mapped else { return }
        guard let handle = freeHandle() else {
            end(AMQPError(AMQPCondition.resourceLimitExceeded, "no handle is left in this session"), &out)
            return
        }
        var link = LinkMachine(
            id: LinkID(session: id, handle: handle, serial: serial), name: attach.name, role: key.role,
            state: .attachReceived)
        serial &+= 1
        link.remoteHandle = attach.handle
        links[handle] = link
        remoteHandles[attach.handle] = handle
        names[key] = handle
        learn(attach, handle)
        out.append(.event(.attachRequested(link.id, attach)))
    }

    private mutating func receiveAnswer(
        _ attach: Attach, handle: UInt32, _ link: LinkMachine, _ out: inout ConnectionActions
    ) {
        remoteHandles[attach.handle] = handle
        links[handle]?.remoteHandle = attach.handle
        guard link.state == .attachSent else { return }
        // The terminus at the peer's end is missing: the peer says no, and why in the detach that follows.
        let refused = link.role == .sender ? attach.target == nil : attach.source == nil
        if refused {
            links[handle]?.state = .refused
            return
        }
        links[handle]?.state = .attached
        learn(attach, handle)
        out.append(.event(.attached(link.id, attach)))
        markReady(handle)
        topUpCredit(handle, &out)
    }

    /// Takes over what the peer's attach says about its end.
    private mutating func learn(_ attach: Attach, _ handle: UInt32) {
        switch attach.role {
        case .receiver:
            links[handle]?.sender.peerMaximumMessageSize = attach.maxMessageSize ?? 0
            links[handle]?.sender.defaultOutcome = attach.source?.defaultOutcome
        case .sender:
            links[handle]?.receiver.deliveryCount = attach.initialDeliveryCount ?? 0
        }
    }

    mutating func receive(_ detach: Detach, _ out: inout ConnectionActions) {
        guard let handle = remoteHandles[detach.handle], let link = links[handle] else {
            end(
                AMQPError(
                    AMQPCondition.unattachedHandle, "detach names handle \(detach.handle), which no link uses"),
                &out)
            return
        }
        flushDispositions(&out)
        switch link.state {
        case .detachSent:
            drop(
                handle,
                AMQPTermination(scope: .link, origin: .local, error: link.localError ?? detach.error), &out)
        case .attached, .refused, .attachSent:
            var answer = Detach(handle: handle)
            answer.closed = detach.closed
            out.append(.send(channel: id.channel, .detach(answer), payload: nil))
            drop(handle, AMQPTermination(scope: .link, origin: .peer, error: detach.error), &out)
        case .attachReceived:
            // Our end never existed: there is nothing to detach.
            drop(handle, AMQPTermination(scope: .link, origin: .peer, error: detach.error), &out)
        }
    }

    // MARK: From this side

    /// Starts a link. Nil: the peer's handle-max or ours leaves no handle.
    mutating func attach(_ attach: Attach, credit: CreditPolicy, serial: inout UInt32, _ out: inout ConnectionActions)
        -> LinkID?
    {
        let key = LinkKey(name: attach.name, role: attach.role)
        guard state != .endSent, names[key] == nil, let handle = freeHandle() else { return nil }
        let linkID = LinkID(session: id, handle: handle, serial: serial)
        serial &+= 1
        var link = LinkMachine(id: linkID, name: attach.name, role: attach.role, state: .attachSent)
        configure(&link, attach, credit)
        links[handle] = link
        names[key] = handle
        send(attach, handle, &out)
        return linkID
    }

    /// Agrees to an attach of the peer. `answer` says what our end looks like; its name, handle and role are set here.
    mutating func accept(_ linkID: LinkID, _ answer: Attach, credit: CreditPolicy, _ out: inout ConnectionActions) {
        guard var link = link(linkID), link.state == .attachReceived else { return }
        var answer = answer
        answer.name = link.name
        answer.role = link.role
        let peerCount = link.receiver.deliveryCount
        configure(&link, answer, credit)
        link.receiver.deliveryCount = peerCount
        link.state = .attached
        links[linkID.handle] = link
        send(answer, linkID.handle, &out)
        topUpCredit(linkID.handle, &out)
        if link.sender.credit > 0 {
            out.append(.event(.credit(linkID, credit: link.sender.credit, drain: link.sender.drain)))
        }
        markReady(linkID.handle)
    }

    /// Says no to an attach of the peer: an attach without termini, then a detach with the reason.
    mutating func refuse(_ linkID: LinkID, _ error: AMQPError, _ out: inout ConnectionActions) {
        guard let link = link(linkID), link.state == .attachReceived else { return }
        send(Attach(name: link.name, handle: linkID.handle, role: link.role), linkID.handle, &out)
        links[linkID.handle]?.state = .attached
        detach(linkID.handle, closed: true, error, &out)
    }

    mutating func detach(_ handle: UInt32, closed: Bool, _ error: AMQPError?, _ out: inout ConnectionActions) {
        guard let link = links[handle] else { return }
        switch link.state {
        case .attachReceived: refuse(link.id, error ?? AMQPError(AMQPCondition.detachForced), &out)
        case .detachSent, .refused: break
        case .attachSent, .attached:
            flushDispositions(&out)
            var detach = Detach(handle: handle)
            detach.closed = closed
            detach.error = error
            out.append(.send(channel: id.channel, .detach(detach), payload: nil))
            links[handle]?.state = .detachSent
            links[handle]?.localError = error
            dropUnfinished(handle, AMQPTermination(scope: .link, origin: .local, error: error), &out)
        }
    }

    func link(_ linkID: LinkID) -> LinkMachine? {
        guard let link = links[linkID.handle], link.id == linkID else { return nil }
        return link
    }

    private func configure(_ link: inout LinkMachine, _ attach: Attach, _ credit: CreditPolicy) {
        link.sender.deliveryCount = attach.initialDeliveryCount ?? 0
        link.receiver.maximumMessageSize = attach.maxMessageSize ?? 0
        link.receiver.policy = credit
    }

    private mutating func send(_ attach: Attach, _ handle: UInt32, _ out: inout ConnectionActions) {
        var attach = attach
        attach.handle = handle
        // Part 2, section 2.7.3: mandatory for a sender, forbidden for a receiver.
        attach.initialDeliveryCount = attach.role == .sender ? attach.initialDeliveryCount ?? 0 : nil
        out.append(.send(channel: id.channel, .attach(attach), payload: nil))
    }

    private mutating func freeHandle() -> UInt32? {
        let largest = min(configuration.handleMax, remoteHandleMax)
        var handle = lowestFreeHandle
        while links[handle] != nil {
            guard handle < largest else { return nil }
            handle += 1
        }
        guard handle <= largest else { return nil }
        lowestFreeHandle = handle
        return handle
    }

    // MARK: Credit

    /// Sets the credit of a receiver link; with `drain` the sender shall use it now or give it back.
    mutating func grantCredit(_ handle: UInt32, _ credit: UInt32, drain: Bool, _ out: inout ConnectionActions) {
        guard let link = links[handle], link.role == .receiver, link.state == .attached else { return }
        links[handle]?.receiver.credit = credit
        links[handle]?.receiver.drain = drain
        if let link = links[handle] { send(flow(of: link), &out) }
    }

    /// Lets the window policy add credit, if it is time.
    mutating func topUpCredit(_ handle: UInt32, _ out: inout ConnectionActions) {
        guard let link = links[handle], let missing = link.creditToAdd else { return }
        links[handle]?.receiver.credit = link.receiver.credit + missing
        if let link = links[handle] { send(flow(of: link), &out) }
    }

    // MARK: Endings

    /// Ends a link for good, telling its deliveries first.
    mutating func drop(_ handle: UInt32, _ termination: AMQPTermination, _ out: inout ConnectionActions) {
        guard let link = links[handle] else { return }
        let firstUnsettled = nextDeliveryID
        let lost = unsettledOut.filter { $0.value.handle == handle }.sorted {
            SerialNumber.distance($0.key, from: firstUnsettled) < SerialNumber.distance($1.key, from: firstUnsettled)
        }
        for (deliveryID, entry) in lost {
            unsettledOut[deliveryID] = nil
            out.append(.event(.result(link.id, token: entry.token, .unknown(termination))))
        }
        dropUnfinished(handle, termination, &out)
        unsettledIn = link.receiver.unsettled == 0 ? unsettledIn : unsettledIn.filter { $0.value != handle }
        if let remoteHandle = link.remoteHandle, remoteHandles[remoteHandle] == handle {
            remoteHandles[remoteHandle] = nil
        }
        let key = LinkKey(name: link.name, role: link.role)
        if names[key] == handle { names[key] = nil }
        links[handle] = nil
        lowestFreeHandle = min(lowestFreeHandle, handle)
        out.append(.event(.linkEnded(link.id, termination)))
    }

    /// Ends the deliveries that were not sent wholly, and forgets one that did not come in wholly.
    private mutating func dropUnfinished(
        _ handle: UInt32, _ termination: AMQPTermination, _ out: inout ConnectionActions
    ) {
        guard let link = links[handle] else { return }
        for queued in link.sender.queue where !queued.abandoned {
            if let deliveryID = queued.deliveryID {
                unsettledOut[deliveryID] = nil
                out.append(.event(.result(link.id, token: queued.token, .unknown(termination))))
            } else {
                out.append(.event(.result(link.id, token: queued.token, .notSent(termination))))
            }
        }
        links[handle]?.sender.queue.removeAll()
        links[handle]?.sender.queuedBytes = 0
        reassemblyBytes -= link.receiver.partial?.payload.readableBytes ?? 0
        links[handle]?.receiver.partial = nil
    }
}

extension LinkRole {
    var other: LinkRole { self == .sender ? .receiver : .sender }
}
