import NIOCore
import Testing

@testable import AMQP

@Suite struct LinkMachineTests {
    @Test func largeDeliveriesFillEveryFrameButTheLast() throws {
        var script = MachineScript.withSession(maxFrameSize: 1024)
        let link = script.senderLink()
        _ = script.queue(link, Array(repeating: 7, count: 5000))
        script.pump()
        let frames = script.sent.filter { if case .transfer = $0.performative { true } else { false } }
        let sizes = frames.map { frame in
            var buffer = ByteBuffer()
            FrameEncoder.write(channel: frame.channel, frame.performative, payload: frame.payload, into: &buffer)
            return buffer.readableBytes
        }
        #expect(sizes.dropLast().allSatisfy { $0 == 1024 })
        #expect(script.transfers.map(\.more) == Array(repeating: true, count: sizes.count - 1) + [false])
        #expect(frames.compactMap { $0.payload?.readableBytes }.reduce(0, +) == 5000)
    }

    @Test func transfersWithoutCreditDetachTheLink() {
        var script = MachineScript.withSession()
        script.receiverLink(credit: .manual)
        script.receive(MachineScript.transfer(3, 0), payload: [1])
        #expect(script.detaches.first?.error?.condition == AMQPCondition.transferLimitExceeded)
        #expect(script.ends.isEmpty)
        // Late frames of the detached link are dropped, and its handle is free after the answer.
        script.receive(MachineScript.transfer(3, 1), payload: [1])
        script.receive(.detach(Detach(handle: 3)))
        script.receiverLink(handle: 3)
        #expect(script.ends.isEmpty && script.deliveries.isEmpty)
    }

    @Test func wrongTransfersDetachTheLink() {
        var withoutTag = Transfer(handle: 3)
        withoutTag.deliveryID = 0
        var longTag = Transfer(handle: 3)
        longTag.deliveryID = 0
        longTag.deliveryTag = ByteBuffer(repeating: 1, count: 33)
        for frame in [.transfer(withoutTag), MachineScript.transfer(3, nil), .transfer(longTag)] as [Performative] {
            var script = MachineScript.withSession()
            script.receiverLink()
            script.receive(frame, payload: [1])
            #expect(script.detaches.first?.error?.condition == AMQPCondition.invalidField)
        }
        var script = MachineScript.withSession()
        script.receiverLink()
        script.receive(MachineScript.transfer(3, 0, more: true), payload: [1])
        script.receive(MachineScript.transfer(3, 1), payload: [1])
        #expect(script.detaches.first?.error?.condition == AMQPCondition.invalidField)
        var toSender = MachineScript.withSession()
        toSender.senderLink(handle: 4)
        toSender.receive(MachineScript.transfer(4, 0), payload: [1])
        #expect(toSender.detaches.first?.error?.condition == AMQPCondition.notAllowed)
    }

    @Test func oversizedDeliveriesDetachTheLink() {
        var script = MachineScript.withSession()
        script.receiverLink(maxMessageSize: 10)
        script.receive(MachineScript.transfer(3, 0, more: true), payload: Array(repeating: 1, count: 10))
        #expect(script.detaches.isEmpty)
        script.receive(MachineScript.transfer(3, nil), payload: [1])
        #expect(script.detaches.first?.error?.condition == AMQPCondition.messageSizeExceeded)
    }

    @Test func unfinishedDeliveriesOfASessionAreBoundedTogether() {
        var script = MachineScript.withSession { $0.session.reassemblyLimit = 25 }
        for handle in 0..<3 as Range<UInt32> {
            script.receiverLink(handle: handle)
            script.receive(
                MachineScript.transfer(handle, handle, more: true), payload: Array(repeating: 1, count: 10))
        }
        #expect(script.detaches.map { $0.error?.condition } == [AMQPCondition.resourceLimitExceeded])
    }

    @Test func abortedDeliveriesAreDropped() {
        var script = MachineScript.withSession()
        script.receiverLink()
        script.receive(MachineScript.transfer(3, 0, more: true), payload: [1])
        var abort = Transfer(handle: 3)
        abort.aborted = true
        script.receive(.transfer(abort))
        script.receive(MachineScript.transfer(3, 1), payload: [2])
        #expect(script.deliveries.map { Array($0.payload.readableBytesView) } == [[2]])
        #expect(script.detaches.isEmpty)
    }

    @Test func aDrainUsesOrReturnsTheCredit() {
        var script = MachineScript.withSession()
        let link = script.senderLink(credit: 0)
        _ = script.queue(link, [1])
        script.grant(4, 5, drain: true)
        script.pump()
        #expect(script.transfers.count == 1)
        let answer = script.flows.last
        #expect(answer?.linkCredit == 0 && answer?.deliveryCount == 5 && answer?.drain == true)
    }

    @Test func theReceiverLearnsThatItsDrainIsDone() {
        var script = MachineScript.withSession()
        let link = script.receiverLink(credit: .manual)
        script.machine.grantCredit(link, 5, drain: true)
        script.take()
        script.receive(MachineScript.transfer(3, 0), payload: [1])
        var flow = Flow(nextIncomingID: 1, incomingWindow: 10, nextOutgoingID: 11, outgoingWindow: 10)
        flow.handle = 3
        flow.deliveryCount = 5
        flow.linkCredit = 0
        flow.drain = true
        script.receive(.flow(flow))
        #expect(script.events.last == .drained(link))
    }

    @Test func refusedAttachesEndWithThePeersError() throws {
        var script = MachineScript.withSession()
        var attach = Attach(name: "mine", handle: 0, role: .sender)
        attach.target = Target(address: "nowhere")
        let attached = script.machine.attach(script.session, attach)
        let link = try #require(attached)
        script.take()
        script.receive(.attach(Attach(name: "mine", handle: 5, role: .receiver)))
        #expect(script.events.last.map { if case .attached = $0 { true } else { false } } == false)
        var detach = Detach(handle: 5)
        detach.closed = true
        detach.error = AMQPError(AMQPCondition.notFound, "no such hub")
        script.receive(.detach(detach))
        #expect(
            script.events.last == .linkEnded(link, AMQPTermination(scope: .link, origin: .peer, error: detach.error)))
        #expect(script.detaches.count == 1)
    }

    @Test func refusingAnAttachAnswersItWithoutTermini() {
        var script = MachineScript.withSession()
        script.receive(.attach(Attach(name: "theirs", handle: 2, role: .sender)))
        script.machine.refuse(script.lastLink, AMQPError(AMQPCondition.unauthorizedAccess, "no token"))
        script.take()
        guard case .attach(let answer) = script.sent[0].performative else {
            Issue.record("no attach")
            return
        }
        #expect(answer.source == nil && answer.target == nil && answer.role == .receiver)
        #expect(script.detaches.first?.error?.condition == AMQPCondition.unauthorizedAccess)
    }

    @Test func anEarlyOutcomeAbortsTheRestOfADelivery() {
        var script = MachineScript.withSession(maxFrameSize: 512)
        let link = script.senderLink()
        var flow = Flow(nextIncomingID: 1, incomingWindow: 2, nextOutgoingID: 10, outgoingWindow: 10)
        script.receive(.flow(flow))
        _ = script.queue(link, Array(repeating: 1, count: 3000))
        script.pump()
        script.receive(MachineScript.disposition(0, nil, .rejected(nil)))
        flow.nextIncomingID = 3
        flow.incomingWindow = 100
        script.receive(.flow(flow))
        script.pump()
        #expect(script.results == [.settled(.rejected(nil))])
        #expect(script.transfers.count == 3)
        #expect(script.transfers.last?.aborted == true)
    }

    @Test func deliveriesThatCannotGoAreRefusedAtOnce() {
        var script = MachineScript.withSession { $0.session.queueLimit = 2 }
        var attach = Attach(name: "out", handle: 4, role: .receiver)
        attach.maxMessageSize = 3
        script.receive(.attach(attach))
        let link = script.lastLink
        script.machine.accept(link, Attach(name: "", handle: 0, role: .sender))
        func refusal(_ count: Int) -> SendRefusal? {
            switch script.machine.send(link, OutgoingDelivery(payload: ByteBuffer(repeating: 0, count: count))) {
            case .success: nil
            case .failure(let refusal): refusal
            }
        }
        let refusals = [refusal(4), refusal(3), refusal(3), refusal(3)]
        #expect(refusals == [.tooLarge(limit: 3), nil, nil, .queueFull])
        script.receive(.detach(Detach(handle: 4)))
        let late = refusal(1)
        #expect(late == .noLink)
    }
}
