import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// What the watchdog sees of the spool's and the ledger's threads.
@Suite struct SpoolMarkTests {
    private let directory = TemporaryDirectory("marks")

    private func rests(_ mark: StageMark) {
        while mark.isAtWork { usleep(200) }
    }

    @Test func aDiskThatDoesNotAnswerKeepsTheMarkWhereItIs() throws {
        let isHung = Atomic<Bool>(false)
        let isWaiting = Atomic<Bool>(false)
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk { operation, _ in
            while operation == .sync, isHung.load(ordering: .relaxed) {
                isWaiting.store(true, ordering: .relaxed)
                usleep(200)
            }
            return 0
        }
        let spool = try openSpool(settings)
        rests(spool.mark)
        let before = spool.mark.value
        isHung.store(true, ordering: .relaxed)
        try spool.append(batch(["one"]))
        while !isWaiting.load(ordering: .relaxed) { usleep(200) }
        let hung = spool.mark.value
        #expect(hung > before && hung & 1 == 1)
        // However much more there would be to do.
        try spool.append(batch(["two"]))
        #expect(!spool.flush(timeoutMilliseconds: 50))
        #expect(spool.mark.value == hung)
        isHung.store(false, ordering: .relaxed)
        #expect(spool.flush())
        rests(spool.mark)
        #expect(spool.mark.value > hung)
        spool.close()
        #expect(!spool.mark.isAtWork)
    }

    /// A disk that says no is a trouble that is known, and tried again: no reason to start anew.
    @Test func aDiskThatRefusesDoesNotBlockTheSpool() throws {
        let isRefusing = Atomic<Bool>(false)
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk { operation, _ in
            operation == .sync && isRefusing.load(ordering: .relaxed) ? EIO : 0
        }
        let spool = try openSpool(settings)
        isRefusing.store(true, ordering: .relaxed)
        try spool.append(batch(["one"]))
        var seen: Set<UInt64> = []
        while seen.count < 5 { seen.insert(spool.mark.value) }
        isRefusing.store(false, ordering: .relaxed)
        #expect(spool.flush())
        rests(spool.mark)
        spool.close()
    }

    @Test func aLedgerRestsWhenItsDiskKnowsAll() throws {
        let spool = try openSpool(configuration(directory))
        let ledger = try Ledger.open(
            directory: directory("spool"), name: "hub.ledger", firstSequence: 0, logger: quiet)
        rests(ledger.mark)
        let before = ledger.mark.value
        var state = ledger.state
        state.floor = 17
        try ledger.update(state)
        #expect(ledger.flush(timeoutMilliseconds: 10_000))
        rests(ledger.mark)
        #expect(ledger.mark.value > before)
        ledger.close()
        #expect(!ledger.mark.isAtWork)
        spool.close()
    }
}
