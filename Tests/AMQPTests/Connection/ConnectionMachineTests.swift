import NIOCore
import Testing

@testable import AMQP

@Suite struct ConnectionMachineTests {
    @Test func theFirstOpenIsAnsweredAndTheCloseConfirmed() {
        var script = MachineScript()
        script.receive(.open(Open(containerID: "peer")), channel: 0)
        #expect(script.sent.count == 1)
        #expect(script.events == [.opened(Open(containerID: "peer"))])
        script.receive(.close(Close(error: AMQPError("amqp:connection:forced", "bye"))), channel: 0)
        #expect(script.closes == [Close()])
        let end = AMQPTermination(scope: .connection, origin: .peer, error: AMQPError("amqp:connection:forced", "bye"))
        #expect(script.events.last == .closed(end))
        #expect(script.closesTransport && script.machine.isClosed)
    }

    @Test func tooSmallFrameSizeIsAnInvalidField() {
        var script = MachineScript()
        var open = Open(containerID: "peer")
        open.maxFrameSize = 511
        script.receive(.open(open), channel: 0)
        #expect(script.closes.first?.error?.condition == AMQPCondition.invalidField)
        // The specification wants an open before the close.
        guard case .open = script.sent.first?.performative else {
            Issue.record("close without open")
            return
        }
    }

    @Test func aSecondOpenClosesTheConnection() {
        var script = MachineScript.withSession()
        script.receive(.open(Open(containerID: "peer")), channel: 0)
        #expect(script.closes.first?.error?.condition == AMQPCondition.illegalState)
    }

    @Test func framesBeforeOpenCloseTheConnection() {
        var script = MachineScript()
        script.receive(.end(End()))
        #expect(script.closes.first?.error?.condition == AMQPCondition.illegalState)
    }

    @Test func unknownChannelsAndChannelsAboveTheMaximumCloseTheConnection() {
        var script = MachineScript.withSession()
        script.receive(.end(End()), channel: 8)
        #expect(script.closes.first?.error?.condition == AMQPCondition.notAllowed)
        var other = MachineScript.withSession { $0.channelMax = 9 }
        other.receive(.begin(Begin(nextOutgoingID: 0, incomingWindow: 1, outgoingWindow: 1)), channel: 10)
        #expect(other.closes.first?.error?.condition == AMQPCondition.framingError)
    }

    @Test func beginOnAUsedChannelClosesTheConnection() {
        var script = MachineScript.withSession()
        script.receive(.begin(Begin(nextOutgoingID: 0, incomingWindow: 1, outgoingWindow: 1)))
        #expect(script.closes.first?.error?.condition == AMQPCondition.illegalState)
    }

    @Test func aBeginThatAnswersNobodyClosesTheConnection() {
        var script = MachineScript.withSession()
        var begin = Begin(nextOutgoingID: 0, incomingWindow: 1, outgoingWindow: 1)
        begin.remoteChannel = 9
        script.receive(.begin(begin), channel: 1)
        #expect(script.closes.first?.error?.condition == AMQPCondition.notAllowed)
    }

    @Test func ourOwnSessionsKeepToThePeersChannelMaximum() {
        var script = MachineScript()
        var open = Open(containerID: "peer")
        open.channelMax = 1
        script.receive(.open(open), channel: 0)
        let ids = (0..<3).map { _ in script.machine.beginSession() }
        #expect(ids.map { $0?.channel } == [0, 1, nil])
    }

    @Test func heartbeatsGoOutAtHalfOfThePeersTimeOut() {
        var script = MachineScript { $0.idleTimeOut = 10_000 }
        var open = Open(containerID: "peer")
        open.idleTimeOut = 4000
        script.receive(.open(open), channel: 0)
        script.machine.wrote(now: script.now)
        let next = script.machine.tick(now: script.now)
        #expect(next == script.now + .milliseconds(2000))
        script.take()
        #expect(script.heartbeats == 0)
        script.now = script.now + .milliseconds(2000)
        _ = script.machine.tick(now: script.now)
        script.take()
        #expect(script.heartbeats == 1)
        script.now = script.now + .milliseconds(8000)
        let last = script.machine.tick(now: script.now)
        #expect(last == nil)
        script.take()
        #expect(script.closes.first?.error?.condition == AMQPCondition.connectionForced)
    }

    @Test func anEmptyFrameCountsAsALifeSign() {
        var script = MachineScript { $0.idleTimeOut = 1000 }
        script.receive(.open(Open(containerID: "peer")), channel: 0)
        for _ in 0..<10 {
            script.now = script.now + .milliseconds(900)
            script.machine.receivedEmptyFrame(now: script.now)
            let next = script.machine.tick(now: script.now)
            #expect(next != nil)
        }
    }

    @Test func garbageNamesItsKind() {
        var script = MachineScript.withSession()
        script.machine.receivedGarbage(AMQPCodecError(.unexpectedType, "what", at: 3))
        script.take()
        #expect(script.closes.first?.error?.condition == AMQPCondition.decodeError)
        var other = MachineScript.withSession()
        other.machine.receivedGarbage(AMQPCodecError(.limitExceeded, "long", at: 0))
        other.take()
        #expect(other.closes.first?.error?.condition == AMQPCondition.framingError)
    }

    @Test func whateverIsPendingEndsWithTheTransport() {
        var script = MachineScript.withSession()
        let link = script.senderLink(credit: 1)
        _ = script.queue(link, [1])
        _ = script.queue(link, [2])
        script.pump()
        script.machine.transportClosed(AMQPError("x", "reset"))
        script.take()
        let end = AMQPTermination(scope: .connection, origin: .transport, error: AMQPError("x", "reset"))
        #expect(script.results == [.unknown(end), .notSent(end)])
        #expect(script.events.suffix(3) == [.linkEnded(link, end), .sessionEnded(script.session, end), .closed(end)])
        script.machine.transportClosed()
        script.take()
        #expect(script.events.last == .closed(end))
    }
}
