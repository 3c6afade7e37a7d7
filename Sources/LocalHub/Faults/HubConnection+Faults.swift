internal import AMQP
import EventHubs
internal import NIOCore

/// What fault scripts make of a connection.
extension HubConnection {
    func acceptLate(_ link: LinkID, _ attach: Attach) {
        do throws(AMQPError) {
            try accept(link, attach, isDelayed: true)
        } catch {
            handler?.refuse(link, error)
        }
    }

    /// Agrees to a link, unless a fault script wants something else.
    func agree(_ link: LinkID, _ answer: Attach, credit: CreditPolicy = .manual) {
        switch faults.removeValue(forKey: link) {
        case .acceptThenEnd(let cut)?:
            handler?.accept(link, answer)
            perform(cut, link)
        case .credit(let credit)?:
            handler?.accept(link, answer)
            if credit > 0 { handler?.grantCredit(link, credit) }
        default: handler?.accept(link, answer, credit: credit)
        }
    }

    func grantCredit(_ credit: UInt32) {
        for (link, kind) in linksByAge {
            switch kind {
            case .producer, .idempotentProducer: handler?.grantCredit(link, credit)
            case .receiver, .requests, .responses: break
            }
        }
    }

    func endAllSessions(_ error: AMQPError) {
        var sessions: Set<SessionID> = []
        for (link, kind) in links {
            switch kind {
            case .producer, .idempotentProducer, .receiver: sessions.insert(link.session)
            case .requests, .responses: break
            }
        }
        for session in sessions.sorted() { handler?.end(session, error) }
    }

    func releaseHeld() {
        for receipt in held { accept(receipt) }
        held = []
    }

    func perform(_ cut: HubFault.Cut, _ link: LinkID) {
        switch cut {
        case .detach(let error): handler?.detach(link, error)
        case .endSession(let error): handler?.end(link.session, error)
        case .closeConnection(let error): handler?.close(error)
        case .dropTransport: handler?.dropTransport()
        }
    }

    /// Ends every link of a producer or receiver.
    func detachAll(_ error: AMQPError) {
        for (link, kind) in linksByAge {
            switch kind {
            case .producer, .idempotentProducer, .receiver: handler?.detach(link, error)
            case .requests, .responses: break
            }
        }
    }
}

extension HubAttach {
    init(_ address: HubAddress, _ attach: Attach) {
        number = 0
        isIdempotent = attach.desiredCapabilities.contains(EventHubsName.idempotentProducer)
        partition = nil
        switch address {
        case .claims: kind = .claims
        case .management: kind = .management
        case .hub: kind = .producer
        case .partition(let index):
            kind = .producer
            partition = index
        case .receiver(_, let index):
            kind = .receiver
            partition = index
        }
    }
}
