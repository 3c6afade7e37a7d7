import NIOCore
import Testing

@testable import AMQP

@Suite struct SessionMachineTests {
    @Test func transfersStopAtThePeersWindowAndGoOnAfterAFlow() {
        var script = MachineScript.withSession(peerWindow: 1000)
        let link = script.senderLink(credit: 50)
        // Window ids count frames: our first transfer has id 1.
        var flow = Flow(nextIncomingID: 1, incomingWindow: 3, nextOutgoingID: 10, outgoingWindow: 10)
        script.receive(.flow(flow))
        for i in 0..<10 { _ = script.queue(link, [UInt8(i)]) }
        script.pump()
        #expect(script.transfers.count == 3)
        flow.nextIncomingID = 3
        flow.incomingWindow = 4
        script.receive(.flow(flow))
        script.pump()
        #expect(script.transfers.count == 6)
        flow.nextIncomingID = 7
        flow.incomingWindow = 100
        script.receive(.flow(flow))
        script.pump()
        #expect(script.transfers.map(\.deliveryID) == (0..<10).map { UInt32($0) })
    }

    @Test func windowsCountAcrossTheWrapOfTransferIDs() {
        var script = MachineScript.withSession { $0.session.nextOutgoingID = .max - 2 }
        let link = script.senderLink(credit: 0)
        var flow = Flow(nextIncomingID: .max - 2, incomingWindow: 5, nextOutgoingID: 10, outgoingWindow: 10)
        flow.handle = 4
        flow.deliveryCount = 0
        flow.linkCredit = 100
        script.receive(.flow(flow))
        for i in 0..<10 { _ = script.queue(link, [UInt8(i)]) }
        script.pump()
        #expect(script.transfers.count == 5)
        flow.nextIncomingID = 2
        script.receive(.flow(flow))
        script.pump()
        #expect(script.transfers.count == 10)
    }

    @Test func ourWindowIsToppedUpAtHalf() {
        var script = MachineScript.withSession { $0.session.incomingWindow = 4 }
        script.receiverLink(credit: .window(100))
        script.sent.removeAll()
        script.receive(MachineScript.transfer(3, 0, settled: true), payload: [1])
        #expect(script.flows.isEmpty)
        script.receive(MachineScript.transfer(3, 1, settled: true), payload: [2])
        #expect(script.flows.map(\.incomingWindow) == [4])
        #expect(script.flows.first?.nextIncomingID == 12)
    }

    @Test func transfersBeyondTheWindowEndTheSession() {
        var script = MachineScript.withSession { $0.session.incomingWindow = 0 }
        script.receiverLink()
        script.receive(MachineScript.transfer(3, 0), payload: [1])
        #expect(script.ends.first?.error?.condition == AMQPCondition.windowViolation)
        // What the peer still sends is dropped until its end comes.
        script.receive(MachineScript.transfer(3, 1), payload: [1])
        #expect(script.ends.count == 1)
        script.receive(.end(End()))
        #expect(script.events.last.map { if case .sessionEnded = $0 { true } else { false } } == true)
    }

    @Test func badHandlesEndTheSession() {
        let cases: [(Performative, String)] = [
            (MachineScript.transfer(9, 0), AMQPCondition.unattachedHandle),
            (.detach(Detach(handle: 9)), AMQPCondition.unattachedHandle),
            (.attach(Attach(name: "again", handle: 3, role: .sender)), AMQPCondition.handleInUse),
            (.attach(Attach(name: "high", handle: 256, role: .sender)), AMQPCondition.notAllowed),
            (MachineScript.disposition(5, 4, .accepted), AMQPCondition.invalidField),
        ]
        for (frame, condition) in cases {
            var script = MachineScript.withSession()
            script.receiverLink(handle: 3)
            script.receive(frame)
            #expect(script.ends.first?.error?.condition == condition)
            #expect(script.closes.isEmpty)
        }
        var script = MachineScript.withSession()
        script.grant(9, 5)
        #expect(script.ends.first?.error?.condition == AMQPCondition.unattachedHandle)
    }

    @Test func echoIsAnsweredForTheSessionAndForTheLink() {
        var script = MachineScript.withSession()
        var flow = Flow(nextIncomingID: 1, incomingWindow: 3, nextOutgoingID: 10, outgoingWindow: 10)
        flow.echo = true
        script.receive(.flow(flow))
        #expect(script.flows.count == 1 && script.flows[0].handle == nil)
        let link = script.senderLink(credit: 5)
        script.sent.removeAll()
        script.grant(4, 8, echo: true)
        #expect(script.flows.first?.handle == link.handle)
        #expect(script.flows.first?.linkCredit == 8)
    }

    @Test func answersOfNeighboursLeaveAsOneRange() {
        var script = MachineScript.withSession()
        script.receiverLink(credit: .window(100))
        for id in 0..<8 as Range<UInt32> { script.receive(MachineScript.transfer(3, id), payload: [1]) }
        script.sent.removeAll()
        for id in 0..<4 as Range<UInt32> { script.machine.settle(script.session, id, .accepted) }
        script.machine.settle(script.session, 6, .accepted)
        script.machine.settle(script.session, 5, .released)
        script.machine.settle(script.session, 4, through: 7, .accepted)
        script.take()
        #expect(
            script.dispositions.map { [$0.first, $0.last ?? $0.first] } == [
                [0, 3], [6, 6], [5, 5], [4, 4], [7, 7],
            ])
        #expect(script.dispositions.allSatisfy { $0.settled })
        // Settled twice: nothing more is said.
        script.machine.settle(script.session, 0, through: 7, .accepted)
        script.take()
        #expect(script.dispositions.count == 5)
    }

    @Test func everyOutcomeReachesItsDeliveryInAnyOrder() {
        var script = MachineScript.withSession()
        let link = script.senderLink()
        var tokens: [UInt64] = []
        for i in 0..<8 { tokens.append(script.queue(link, [UInt8(i)])) }
        script.pump()
        let rejected = DeliveryState.rejected(AMQPError("com.microsoft:server-busy", "slow down"))
        let modified = DeliveryState.modified(deliveryFailed: true, undeliverableHere: false, annotations: AMQPMap())
        script.receive(MachineScript.disposition(6, 7, .released))
        script.receive(MachineScript.disposition(0, nil, .accepted))
        script.receive(MachineScript.disposition(1, nil, rejected))
        script.receive(MachineScript.disposition(2, nil, modified))
        script.receive(MachineScript.disposition(0, 5, nil))
        script.receive(MachineScript.disposition(0, .max >> 1, .accepted))
        let results = script.events.compactMap { event -> (UInt64, DeliveryResult)? in
            if case .result(_, let token, let result) = event { (token, result) } else { nil }
        }
        #expect(results.map(\.0) == [6, 7, 0, 1, 2, 3, 4, 5].map { tokens[$0] })
        #expect(
            results.map(\.1) == [
                .settled(.released), .settled(.released), .settled(.accepted), .settled(rejected), .settled(modified),
                .settled(nil), .settled(nil), .settled(nil),
            ])
    }

    @Test func anOutcomeWithoutSettlementIsSettledByTheSender() {
        var script = MachineScript.withSession()
        let link = script.senderLink()
        for i in 0..<4 { _ = script.queue(link, [UInt8(i)]) }
        script.pump()
        script.sent.removeAll()
        script.receive(MachineScript.disposition(0, 3, .received(sectionNumber: 0, sectionOffset: 1), settled: false))
        #expect(script.results.isEmpty)
        script.receive(MachineScript.disposition(0, 2, .accepted, settled: false))
        #expect(script.results.count == 3)
        #expect(script.dispositions.count == 1)
        #expect(script.dispositions.first?.role == .sender)
        #expect(script.dispositions.first?.settled == true)
        #expect(script.dispositions.first?.last == 2)
    }

    @Test func theSenderMaySettleFirst() {
        var script = MachineScript.withSession()
        script.receiverLink(credit: .window(4))
        script.receive(MachineScript.transfer(3, 0), payload: [1])
        script.receive(MachineScript.disposition(0, nil, .accepted, role: .sender))
        #expect(script.events.contains(.settledBySender(script.lastLink, deliveryID: 0, state: .accepted)))
        script.sent.removeAll()
        script.machine.settle(script.session, 0, .accepted)
        script.take()
        #expect(script.dispositions.isEmpty)
    }
}
