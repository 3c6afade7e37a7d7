internal import NIOCore

/// What the owner of a connection may ask for, on the event loop: see `ConnectionMachine`, which does it.
extension AMQPConnectionHandler {
    package func beginSession(_ configuration: SessionConfiguration? = nil) -> SessionID? {
        defer { scheduleWork() }
        return machine.beginSession(configuration)
    }

    package func end(_ session: SessionID, _ error: AMQPError? = nil) {
        machine.end(session, error)
        scheduleWork()
    }

    package func attach(_ session: SessionID, _ attach: Attach, credit: CreditPolicy = .manual) -> LinkID? {
        defer { scheduleWork() }
        return machine.attach(session, attach, credit: credit)
    }

    package func accept(_ link: LinkID, _ answer: Attach, credit: CreditPolicy = .manual) {
        machine.accept(link, answer, credit: credit)
        scheduleWork()
    }

    package func refuse(_ link: LinkID, _ error: AMQPError) {
        machine.refuse(link, error)
        scheduleWork()
    }

    package func detach(_ link: LinkID, closed: Bool = true, _ error: AMQPError? = nil) {
        machine.detach(link, closed: closed, error)
        scheduleWork()
    }

    package func grantCredit(_ link: LinkID, _ credit: UInt32, drain: Bool = false) {
        machine.grantCredit(link, credit, drain: drain)
        scheduleWork()
    }

    package func send(_ link: LinkID, _ delivery: OutgoingDelivery) -> Result<UInt64, SendRefusal> {
        defer { scheduleWork() }
        return machine.send(link, delivery)
    }

    package func settle(
        _ session: SessionID, _ first: UInt32, through last: UInt32? = nil, _ state: DeliveryState?,
        settled: Bool = true
    ) {
        machine.settle(session, first, through: last, state, settled: settled)
        scheduleWork()
    }

    /// Unsent credit of a sender link, and how many deliveries wait in it.
    package func credit(of link: LinkID) -> (credit: UInt32, queued: Int)? { machine.credit(of: link) }

    /// Says goodbye: the peer's answer, or the close time-out, closes the transport.
    package func close(_ error: AMQPError? = nil) {
        guard handshake.isDone || machine.remoteOpen != nil else {
            dropTransport(error)
            return
        }
        machine.close(error)
        scheduleWork()
    }

    /// Closes the transport at once, without a word to the peer.
    package func dropTransport(_ error: AMQPError? = nil) {
        transportClosed(error)
        context?.close(promise: nil)
    }
}
