import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// What a start does not read is read in the background.
@Suite struct VerificationTests {
    /// A spool without a thread of its own, and a clock that the test moves.
    private final class Stage {
        let directory = TemporaryDirectory()
        let records: [ReadRecord]
        let places: [FramePlace]
        var settings: SpoolConfiguration
        private let time = Time()

        private final class Time: Sendable { let now = Atomic<UInt64>(1) }

        init() throws {
            let (_, records, _) = try DamageTests.threeSegments(directory)
            self.records = records
            settings = unsynced(configuration(directory, segment: 8 << 10))
            places = try framePlaces(settings.directory)
            let time = time
            settings.environment = SpoolEnvironment(
                clocks: Clocks(
                    nanoseconds: { time.now.load(ordering: .relaxed) }, instant: { .now }, wallMilliseconds: { 0 }),
                hasThreads: false)
            settings.verificationRate = 128 << 10
        }

        func open() throws -> Spool { try openSpool(settings) }

        /// All frames with records of the segment `index`, counted from 0.
        func frames(of index: Int) -> [FramePlace] {
            let file = names(settings.directory, suffix: ".spool")[index]
            return places.filter { $0.file == file && $0.header.recordCount > 0 }
        }

        func spoil(_ place: FramePlace) throws {
            let file = try SpoolFile("\(settings.directory)/\(place.file)", .readWrite, on: SystemDisk())
            let byte = try file.read(1, at: place.range.upperBound - 1)[0]
            try file.write([byte ^ 1], at: place.range.upperBound - 1)
        }

        /// Until it ends; how often it paused.
        func verify(_ spool: Spool) -> Int {
            var pauses = 0
            while true {
                switch spool.verify() {
                case .again: continue
                case .ended: return pauses
                case .wait(let until):
                    pauses += 1
                    time.now.store(until ?? .max, ordering: .relaxed)
                }
            }
        }
    }

    @Test func damageIsFoundAndCountedBeforeAnybodyReadsAndOnceOnly() throws {
        let stage = try Stage()
        let victims = [stage.frames(of: 0)[1], stage.frames(of: 1)[2], stage.frames(of: 1)[3]]
        for victim in victims { try stage.spoil(victim) }
        let lost = victims.reduce(0) { $0 + UInt64($1.header.recordCount) }
        let spool = try stage.open()
        #expect(spool.statistics().quarantinedRecords == 0)
        // The last segment was read at the start.
        #expect(spool.statistics().unverified == stage.frames(of: 2)[0].header.firstSequence)
        #expect(stage.verify(spool) > 1)
        #expect(spool.statistics().unverified == 0)
        #expect(spool.statistics().quarantinedRecords == lost)
        // Two that touch are one place.
        #expect(spool.statistics().quarantinedPlaces == 2)
        #expect(try readAll(spool).count == stage.records.count - Int(lost))
        #expect(spool.statistics().quarantinedRecords == lost)
        #expect(names("\(stage.settings.directory)/quarantine").count == 2)
        spool.close()
    }

    @Test func nothingIsReadBeforeItsTimeAndNothingAtAllWhenItIsOff() throws {
        let stage = try Stage()
        var spool = try stage.open()
        guard case .wait(let until) = spool.verify() else {
            Issue.record("it does not wait")
            return
        }
        #expect(until == 1 + 5_000_000_000)
        #expect(spool.statistics().unverified > 0)
        spool.close()
        stage.settings.verificationRate = 0
        spool = try stage.open()
        guard case .ended = spool.verify() else {
            Issue.record("it is not off")
            return
        }
        #expect(spool.statistics().unverified == 0)
        spool.close()
    }

    @Test func whatIsAcknowledgedIsPassedOver() throws {
        let stage = try Stage()
        try stage.spoil(stage.frames(of: 0)[1])
        // So says the ledger that the spool has.
        let floor = stage.frames(of: 0)[3].header.firstSequence
        let ledger = try Ledger.open(
            directory: stage.settings.directory, name: "hub.ledger", firstSequence: 0, logger: quiet)
        try ledger.update(LedgerState(floor: floor))
        ledger.close()
        var spool = try stage.open()
        #expect(spool.statistics().unverified == stage.frames(of: 2)[0].header.firstSequence - floor)
        _ = stage.verify(spool)
        #expect(spool.statistics().quarantinedRecords == 0)
        spool.close()
        // And so what is acknowledged while it reads.
        try stage.spoil(stage.frames(of: 1)[1])
        spool = try stage.open()
        spool.release(below: stage.frames(of: 2)[0].header.firstSequence)
        #expect(spool.flush())
        #expect(spool.statistics().unverified == 0)
        _ = stage.verify(spool)
        #expect(spool.statistics().quarantinedRecords == 0)
        #expect(spool.statistics().quarantinedPlaces == 0)
        spool.close()
    }

    @Test func aThreadOfItsOwnDoesItAndEndsWithTheSpool() throws {
        let stage = try Stage()
        try stage.spoil(stage.frames(of: 1)[1])
        stage.settings.environment = SpoolEnvironment()
        // Closing does not wait until it begins.
        stage.settings.verificationDelay = .seconds(3600)
        var spool = try stage.open()
        spool.close()
        stage.settings.verificationDelay = .zero
        stage.settings.verificationRate = 1 << 30
        spool = try stage.open()
        while spool.statistics().unverified > 0 { usleep(1000) }
        #expect(spool.statistics().quarantinedRecords == UInt64(stage.frames(of: 1)[1].header.recordCount))
        spool.close()
    }

    @Test func anUnreadableSpoolIsTriedAgainAndGivenUp() throws {
        let stage = try Stage()
        let failures = Atomic<Int>(0)
        stage.settings.environment.disk = FaultyDisk { operation, path in
            guard operation == .open, path.hasSuffix("01.spool"), failures.load(ordering: .relaxed) > 0 else {
                return 0
            }
            failures.subtract(1, ordering: .relaxed)
            return EMFILE
        }
        try stage.spoil(stage.frames(of: 0)[1])
        var spool = try stage.open()
        failures.store(SpoolVerifier.maximumFailures - 1, ordering: .relaxed)
        _ = stage.verify(spool)
        #expect(spool.statistics().quarantinedRecords == UInt64(stage.frames(of: 0)[1].header.recordCount))
        spool.close()
        spool = try stage.open()
        failures.store(.max, ordering: .relaxed)
        _ = stage.verify(spool)
        #expect(spool.statistics().unverified > 0)
        #expect(spool.statistics().quarantinedRecords == 0)
        spool.close()
    }
}
