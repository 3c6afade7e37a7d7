import Glibc
import Logging
import Synchronization
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct WatchdogTests {
    private typealias Stage = Watchdog.Stage

    private func output(_ settled: UInt64, backlog: UInt64, _ reason: String? = nil) -> Watchdog.Output {
        Watchdog.Output(name: "hub", settled: settled, backlog: backlog, reason: reason)
    }

    @Test func aStageAtOnePieceOfWorkIsBlockedFromTheNextLookOn() {
        var watchdog = Watchdog(limit: 4000)
        #expect(watchdog.interval == 1000)
        #expect(watchdog.look(stages: [Stage(name: "spool", mark: 7)], outputs: [], now: 0) == [])
        #expect(
            watchdog.look(stages: [Stage(name: "spool", mark: 7)], outputs: [], now: 1000)
                == [.init(kind: .stage("spool"), duration: 1000)])
        #expect(
            watchdog.look(stages: [Stage(name: "spool", mark: 7)], outputs: [], now: 5500)
                == [.init(kind: .stage("spool"), duration: 5500)])
        // It is done, and at the next piece already.
        #expect(watchdog.look(stages: [Stage(name: "spool", mark: 9)], outputs: [], now: 6500) == [])
    }

    @Test func whoRestsOrGetsOnIsNotBlocked() {
        var watchdog = Watchdog(limit: nil)
        for look in 0..<100 {
            let stages = [Stage(name: "rests", mark: 8), Stage(name: "gets on", mark: UInt64(look) * 2 + 1)]
            #expect(watchdog.look(stages: stages, outputs: [], now: Int64(look) * watchdog.interval) == [])
        }
    }

    @Test func everyBlockedStageIsNamedWhateverTheOthersDo() {
        var watchdog = Watchdog(limit: 400)
        let blocked = ["files", "drain (hub)", "event loop"].map { Stage(name: $0, mark: 1) }
        _ = watchdog.look(stages: blocked + [Stage(name: "spool", mark: 1)], outputs: [], now: 0)
        let found = watchdog.look(stages: blocked + [Stage(name: "spool", mark: 3)], outputs: [], now: 100)
        #expect(found.map(\.kind) == blocked.map { .stage($0.name) })
        #expect(found.first?.description.contains("files: at one piece of work for 0 s") == true)
    }

    /// What comes in the place of another stage, after a reload, begins anew.
    @Test func aStageThatGoesIsForgotten() {
        var watchdog = Watchdog(limit: 400)
        let stages = [Stage(name: "journal (web)", mark: 1)]
        _ = watchdog.look(stages: stages, outputs: [], now: 0)
        _ = watchdog.look(stages: [], outputs: [], now: 100)
        #expect(watchdog.look(stages: stages, outputs: [], now: 200) == [])
    }

    @Test func aServiceThatCannotBeReachedStarvesNothingForDays() {
        var watchdog = Watchdog(limit: 180_000)
        for minute in 0..<(2 * 24 * 60) {
            let found = watchdog.look(
                stages: [], outputs: [output(17, backlog: 1_000_000, "connection refused")], now: Int64(minute) * 60_000
            )
            #expect(found == [])
        }
    }

    @Test func anOutputThatStandsStillWithoutAReasonIsStuck() {
        var watchdog = Watchdog(limit: 180_000)
        #expect(watchdog.look(stages: [], outputs: [output(17, backlog: 5)], now: 0) == [])
        #expect(watchdog.look(stages: [], outputs: [output(17, backlog: 9)], now: Watchdog.patience - 1) == [])
        #expect(
            watchdog.look(stages: [], outputs: [output(17, backlog: 9)], now: Watchdog.patience)
                == [.init(kind: .output("hub"), duration: Watchdog.patience)])
        // A reason turns up, and goes: its patience begins anew.
        #expect(watchdog.look(stages: [], outputs: [output(17, backlog: 9, "throttled")], now: 400_000) == [])
        #expect(watchdog.look(stages: [], outputs: [output(17, backlog: 9)], now: 500_000) == [])
        // Something is settled; nothing waits.
        #expect(watchdog.look(stages: [], outputs: [output(18, backlog: 8)], now: 690_000) == [])
        #expect(watchdog.look(stages: [], outputs: [output(18, backlog: 0)], now: 2_000_000) == [])
    }

    @Test func looksComeSeveralTimesInTheServiceManagersPatience() {
        #expect(Watchdog(limit: nil).interval == 15_000)
        #expect(Watchdog(limit: 180_000).interval == 15_000)
        #expect(Watchdog(limit: 2000).interval == 500)
        #expect(Watchdog(limit: 1).interval == 100)
    }

    @Test func aMarkIsOddAtWorkAndEveryPieceOfWorkMovesIt() {
        let mark = StageMark("spool")
        #expect(!mark.isAtWork)
        var seen: Set<UInt64> = [mark.value]
        for _ in 0..<3 {
            mark.work()
            #expect(mark.isAtWork)
            #expect(seen.insert(mark.value).inserted)
            mark.work()
            #expect(mark.isAtWork)
            #expect(seen.insert(mark.value).inserted)
            mark.rest()
            #expect(!mark.isAtWork)
            #expect(seen.insert(mark.value).inserted)
            mark.rest()
            #expect(!mark.isAtWork)
        }
    }

    @Test func whoseWatchdogItIsTheEnvironmentTells() {
        func milliseconds(_ environment: [String: String]) -> Int64? {
            ServiceManager(path: nil, environment: { environment[$0] }).watchdogMilliseconds
        }
        #expect(milliseconds([:]) == nil)
        #expect(milliseconds(["WATCHDOG_USEC": "2000000"]) == 2000)
        #expect(milliseconds(["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "\(getpid())"]) == 2000)
        #expect(milliseconds(["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"]) == nil)
        for wrong in ["", "0", "-5", "soon"] { #expect(milliseconds(["WATCHDOG_USEC": wrong]) == nil) }
    }

    /// With a service manager of the test's: fed while all is well, not while a stage is blocked, and again afterwards.
    @Test func theServiceManagerIsFedAsLongAsAllGetOn() throws {
        let directory = TemporaryDirectory("watchdog")
        let path = directory("notify")
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(descriptor) }
        try #require(UnixSocket.withAddress(path) { bind(descriptor, $0, $1) } == 0)
        func next() -> String {
            var bytes = [UInt8](repeating: 0, count: 512)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        }
        let manager = ServiceManager(path: path, environment: { ["WATCHDOG_USEC": "400000"][$0] })
        let mark = StageMark("spool")
        let looks = Atomic<Int>(0)
        let thread = WatchdogThread(
            manager, logger: Logger(label: "watchdog") { _ in SwiftLogNoOpLogHandler() },
            sight: {
                looks.wrappingAdd(1, ordering: .relaxed)
                return .init(stages: [.init(name: mark.name, mark: mark.value)], outputs: [])
            }, status: { "existed 3 = acknowledged 3" })
        thread.start()
        #expect(next() == "WATCHDOG=1")
        #expect(next() == "STATUS=existed 3 = acknowledged 3")
        #expect(next() == "WATCHDOG=1")
        mark.work()
        while thread.blockages.isEmpty { usleep(1000) }
        // What was sent before is read; while it is blocked, looks go on and nothing more comes.
        var byte: UInt8 = 0
        while recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT)) > 0 {}
        let before = looks.load(ordering: .relaxed)
        while looks.load(ordering: .relaxed) < before + 5 { usleep(1000) }
        #expect(recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT)) < 0)
        #expect(thread.blockages.map(\.kind) == [.stage("spool")])
        mark.rest()
        #expect(next() == "WATCHDOG=1")
        thread.stop()
        #expect(thread.blockages.isEmpty)
    }
}
