internal import AMQP
internal import NIOCore

/// Requests to `$cbs` and `$management`, and their answers.
extension HubConnection {
    func answer(_ link: LinkID, _ delivery: IncomingDelivery, _ address: HubAddress) {
        let request: AMQPMessage
        do throws(AMQPCodecError) {
            request = try AMQPMessage(decoding: delivery.payload)
        } catch {
            let state = DeliveryState.rejected(AMQPError(AMQPCondition.decodeError, error.description))
            handler?.settle(link.session, delivery.id, state)
            return
        }
        if !delivery.settled { handler?.settle(link.session, delivery.id, .accepted) }
        switch address == .claims ? hub.tokenFault() : nil {
        case .silence?: break
        case .delay(let time)?:
            eventLoop.assumeIsolated().scheduleTask(in: time) { self.respond(request, address, link.session) }
        case .answer(let status, let text)?:
            respond(request, address, link.session, HubManagement.Answer(status: status, text: text))
        case nil: respond(request, address, link.session)
        }
    }

    func respond(
        _ request: AMQPMessage, _ address: HubAddress, _ session: SessionID, _ scripted: HubManagement.Answer? = nil
    ) {
        let result: HubManagement.Answer
        if let scripted {
            result = scripted
        } else if address == .claims {
            result = HubManagement.putToken(request, &authorization, now: now)
            watchExpiry()
        } else {
            result = HubManagement(hub: hub).read(request, authorization, now: now)
        }
        guard let answerLink = responseLink(for: request, address, session) else { return }
        let response = HubManagement.response(to: request, result)
        _ = handler?.send(answerLink, OutgoingDelivery(payload: response.encoded(), settled: true))
    }

    /// The link that the request names; without a name, the session's own, or any.
    func responseLink(for request: AMQPMessage, _ address: HubAddress, _ session: SessionID) -> LinkID? {
        let replyTo = request.properties?.replyTo ?? .null
        var fallback: LinkID?
        for case (let id, .responses(address, let target)) in links {
            if replyTo != .null, target == replyTo { return id }
            if fallback == nil || id.session == session { fallback = id }
        }
        return fallback
    }
}
