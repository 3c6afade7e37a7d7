import TailraceSpool
import Testing

@testable import TailraceAgent

@Suite struct ReadinessTests {
    private static var ready: Readiness {
        Readiness(
            inputs: [.init(name: "file inputs", stage: .runs), .init(name: "syslog input net", stage: .runs)],
            outputs: [
                .init(name: "a", state: OutputHealth.connected), .init(name: "b", state: "not connected; trying again"),
            ])
    }

    /// Records for an output that cannot be reached are taken, and wait.
    @Test func anAgentWhoseOutputIsKnownToWaitIsReady() {
        #expect(Self.ready.obstacles == [])
    }

    @Test func whatIsInTheWayIsNamed() {
        var readiness = Self.ready
        readiness.inputs[1].stage = .begins
        #expect(readiness.obstacles == ["syslog input net: not begun yet"])
        readiness.inputs[1].stage = .ended
        #expect(readiness.obstacles == ["syslog input net: ended"])
        readiness = Self.ready
        readiness.outputs[0].state = OutputHealth().current.text
        #expect(readiness.obstacles == ["output a: connecting"])
        readiness = Self.ready
        readiness.spoolFailure = SpoolTrouble.noSpace("disk full").text
        readiness.blocked = ["spool: at one piece of work for 20 s"]
        readiness.isStopping = true
        #expect(
            readiness.obstacles == [
                "the agent stops", "spool: no space: disk full", "blocked: spool: at one piece of work for 20 s",
            ])
    }

    @Test func aStageHasBegunOnceAPieceOfWorkIsDone() {
        let mark = StageMark("files")
        #expect(!mark.hasDoneSomething)
        mark.work()
        #expect(!mark.hasDoneSomething)
        mark.work()
        #expect(mark.hasDoneSomething)
        let waits = StageMark("datagrams")
        waits.rest()
        #expect(waits.hasDoneSomething)
    }

    @Test func anOutputIsConnectingUntilItsFirstAttemptHasEnded() {
        let health = OutputHealth()
        #expect(health.current.text == OutputHealth.connecting)
        health.note(OutputTrouble(state: "not connected; trying again", error: "refused"))
        #expect(health.current.text != OutputHealth.connecting)
        health.noteConnected()
        #expect(health.current.text == OutputHealth.connected)
    }
}
