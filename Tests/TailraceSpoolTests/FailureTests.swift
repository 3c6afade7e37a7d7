import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// Fails chosen calls.
final class Faults: Sendable {
    private struct State {
        var calls = 0
        var fired = 0
        var rule: @Sendable (Int, SpoolFileOperation, String) -> CInt = { _, _, _ in 0 }
    }
    private let state = Mutex(State())

    /// `rule` gets the number of the call that changes something, from 0; -1 for those that only read.
    func set(_ rule: @escaping @Sendable (Int, SpoolFileOperation, String) -> CInt) {
        state.withLock { $0 = State(rule: rule) }
    }

    func clear() { set { _, _, _ in 0 } }

    var fired: Int { state.withLock { $0.fired } }

    var hook: SpoolFault {
        { operation, path in
            self.state.withLock { state in
                let isReading = operation == .read || operation == .list
                let code = state.rule(isReading ? -1 : state.calls, operation, path)
                if !isReading { state.calls += 1 }
                if code != 0 { state.fired += 1 }
                return code
            }
        }
    }
}

@Suite struct FailureTests {
    @Test(arguments: [1, 2, 5])
    func aFailedSyncMovesTheUnsyncedRecordsToANewSegment(_ times: Int) throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk(faults.hook)
        var spool = try openSpool(settings)
        try spool.append(batch(["durable"], position: "0"))
        #expect(spool.flush())
        let left = Atomic<Int>(times)
        faults.set { _, operation, path in
            guard operation == .sync, path.hasSuffix(".spool"), left.load(ordering: .relaxed) > 0 else { return 0 }
            left.subtract(1, ordering: .relaxed)
            return EIO
        }
        try spool.append(batch(["one", "two"], position: "1"))
        #expect(spool.flush())
        #expect(try readAll(spool).map { String(decoding: $0.body, as: UTF8.self) } == ["durable", "one", "two"])
        let statistics = spool.statistics()
        #expect(statistics.writeFailures == UInt64(times))
        #expect(statistics.trouble == nil)
        // The abandoned segment that held nothing durable is gone, however often it failed.
        #expect(statistics.segments == 2)
        spool.abandon()
        spool = try openSpool(settings)
        #expect(spool.recovery.isClean)
        #expect(try readAll(spool).map(\.id) == [0, 1, 2])
        #expect(spool.positions() == [key("source"): Array("1".utf8)])
    }

    @Test func whileTheDiskRefusesNothingIsCommittedAndTheStateIsVisible() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk(faults.hook)
        var spool = try openSpool(settings)
        try spool.append(batch(["durable"], position: "0"))
        #expect(spool.flush())
        faults.set { _, operation, path in operation == .sync && path.contains(".spool") ? EIO : 0 }
        try spool.append(batch(["refused"], position: "1"))
        while true {
            if case .failing(let message) = spool.statistics().trouble, spool.statistics().writeFailures > 5 {
                #expect(message.contains(".spool") && message.hasPrefix("sync"))
                break
            }
            usleep(500)
        }
        #expect(spool.committed == 1)
        #expect(!spool.tryAppend(batch(["refused too"])))
        #expect(!spool.flush(timeoutMilliseconds: 20))
        #expect(diskUsage(settings.directory) <= 5 * (16 << 10))
        // It ends although it cannot store the record; the position stays where it was.
        spool.close()
        faults.clear()
        spool = try openSpool(settings)
        #expect(try readAll(spool).first?.id == 0)
        #expect(spool.committed <= 2)
        let position = try #require(spool.positions()[key("source")])
        #expect(position == Array((spool.committed == 2 ? "1" : "0").utf8))
    }

    @Test func aFullDiskIsWaitedOut() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk(faults.hook)
        let spool = try openSpool(settings)
        for code in [ENOSPC, EDQUOT] {
            for operation in [SpoolFileOperation.preallocate, .write] {
                faults.set { _, called, path in called == operation && !path.hasSuffix("lock") ? code : 0 }
                let before = spool.committed
                // More than a segment, so that preallocation is needed too.
                let thread = ThreadHandle(
                    startThread("filler") {
                        for _ in 0..<30 { try? spool.append(batch([[UInt8](repeating: 9, count: 1000)])) }
                    })
                while true {
                    if case .noSpace = spool.statistics().trouble { break }
                    usleep(500)
                }
                faults.clear()
                thread.join()
                #expect(spool.flush())
                #expect(spool.committed == before + 30)
                #expect(spool.statistics().trouble == nil)
            }
        }
        #expect(try readAll(spool).count == 120)
    }

    private func kilobyte(_ number: Int) -> RecordBatch {
        batch([[UInt8](repeating: 7, count: 1000)], position: "\(number)")
    }

    private func store(_ number: Int, in spool: Spool) throws {
        try spool.append(kilobyte(number))
        #expect(spool.flush())
    }

    /// Some of a spool's acknowledged segments cannot be removed: those behind them stay too, or the next start would take
    /// what is missing between for lost. They go when they can.
    @Test(arguments: [0, 4]) func noSegmentGoesBeforeAnOlderOne(_ spareLimit: Int) throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory, segment: 4 << 10)
        settings.spareLimit = spareLimit
        settings.environment.disk = FaultyDisk(faults.hook)
        var spool = try openSpool(settings)
        for number in 0..<20 { try store(number, in: spool) }
        #expect(spool.statistics().segments > 4)
        let stuck = SegmentName.digits(2)
        faults.set { _, operation, path in
            [.unlink, .rename, .link].contains(operation) && path.contains(stuck) ? EIO : 0
        }
        spool.release(below: spool.committed)
        #expect(spool.flush())
        #expect(names(settings.directory, suffix: ".spool").first == SegmentName.segment(2))
        #expect(spool.statistics().cleanupFailures > 0)
        let ids = try readAll(spool).map(\.id)
        spool.abandon()
        spool = try openSpool(settings)
        #expect(ids.count > 10 && ids == Array((20 - UInt64(ids.count))..<20))
        #expect(try readAll(spool).map(\.id) == ids)
        #expect(spool.statistics().quarantinedRecords == 0)
        // Nobody asks for it again.
        spool.release(below: spool.committed)
        while spool.statistics().cleanupFailures == 0 { usleep(500) }
        #expect(spool.statistics().segments > 4)
        faults.clear()
        while spool.statistics().segments > 1 { usleep(500) }
        spool.close()
        #expect(names(settings.directory, suffix: ".spool").count == 1)
    }

    /// When the disk does not say that a segment's removal is durable, the next one stays, which counts, and goes later.
    @Test func noSegmentGoesBeforeTheRemovalOfTheOneBeforeItIsDurable() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory, segment: 4 << 10)
        settings.spareLimit = 0
        settings.environment.disk = FaultyDisk(faults.hook)
        let spool = try openSpool(settings)
        for number in 0..<20 { try store(number, in: spool) }
        let before = spool.statistics().segments
        faults.set { _, operation, path in operation == .syncDirectory ? EIO : 0 }
        spool.release(below: spool.committed)
        while spool.statistics().cleanupFailures == 0 { usleep(500) }
        #expect(spool.statistics().segments >= before - 1)
        faults.clear()
        while spool.statistics().segments > 1 { usleep(500) }
        spool.close()
    }

    /// While a power cut may bring a removed segment's name back, its file becomes no other segment: both would be one.
    @Test func aSpareIsNotWrittenBeforeItsOldNameIsGoneForGood() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory, segment: 4 << 10)
        settings.spareLimit = 1
        settings.environment.disk = FaultyDisk(faults.hook)
        let spool = try openSpool(settings)
        for number in 0..<20 {
            try store(number, in: spool)
            if number == 6 { spool.release(below: spool.committed) }
        }
        #expect(spool.statistics().segmentsRecycled == 1 && spool.statistics().spares == 0)
        faults.set { _, operation, path in operation == .syncDirectory && path.hasSuffix("/spool") ? EIO : 0 }
        spool.release(below: spool.committed)
        while spool.statistics().cleanupFailures == 0 { usleep(500) }
        let spares = names(settings.directory, suffix: ".spare")
        #expect(spares.count == 1)
        // More than the last segment has room for.
        for number in 20..<24 { try spool.append(kilobyte(number)) }
        while spool.statistics().trouble == nil { usleep(500) }
        #expect(names(settings.directory, suffix: ".spare") == spares)
        faults.clear()
        #expect(spool.flush())
        #expect(try readAll(spool).map(\.id).suffix(4) == [20, 21, 22, 23])
        spool.close()
    }

    /// One life of a spool: appends, releases, and closes.
    private func scenario(_ settings: SpoolConfiguration, committed: inout UInt64) throws {
        let spool = try openSpool(settings)
        defer { spool.close() }
        for number in 0..<30 {
            let body = number.description + String(repeating: ".", count: 700)
            guard spool.tryAppend(batch([body], position: "\(number)")) else { continue }
            spool.flush(timeoutMilliseconds: 5)
            committed = spool.committed
            if number == 20 { spool.release(below: min(15, spool.committed)) }
        }
        // Whatever the disk did, a reader sees dense ids, and only durable ones.
        let before = spool.committed
        let ids = try readAll(spool).map(\.id)
        #expect((ids.last.map { $0 + 1 } ?? before) >= before)
        if let first = ids.first { #expect(ids == Array(first..<(first + UInt64(ids.count)))) }
    }

    @Test(arguments: [EIO, ENOSPC], [false, true])
    func everyCallMayFailOnceOrForEver(_ code: CInt, _ forEver: Bool) throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var number = 0
        var step = 1
        while true {
            var settings = configuration(directory, segment: 4 << 10, maximum: 1 << 20)
            settings.directory = directory("spool \(number)")
            settings.retryInterval = .milliseconds(1)
            settings.environment.disk = FaultyDisk(faults.hook)
            let nth = number
            faults.set { call, _, _ in call == nth || (forEver && call > nth) ? code : 0 }
            var durable: UInt64 = 0
            do {
                try scenario(settings, committed: &durable)
            } catch let error as SpoolError {
                // It could not be opened: said so, and left nothing behind that hinders the next start.
                guard case .file = error else { throw error }
            }
            let fired = faults.fired
            faults.clear()
            let what: Comment = "call \(nth) failed with \(code)"
            let spool = try openSpool(settings)
            let statistics = spool.statistics()
            let records = try readAll(spool)
            #expect(statistics.committed >= durable, what)
            #expect(spool.statistics().quarantinedRecords == 0, what)
            #expect(spool.recovery.lostRecords == 0, what)
            // Ids that were skipped are those of records that were never durable.
            let first = statistics.firstSequence
            #expect(records.map(\.id).filter { $0 < durable } == Array(first..<max(durable, first)), what)
            // The position covers exactly what is there.
            if let last = records.last {
                let text = String(decoding: last.body.prefix { $0 != 0x2E }, as: UTF8.self)
                #expect(spool.positions()[key("source")] == Array(text.utf8), what)
            }
            spool.close()
            if fired == 0 { break }
            // Every call in the first segments, then every few.
            if number > 40 || forEver { step = 11 }
            number += step
        }
        #expect(number > 40)
    }

    @Test func aTinyFileSystemFillsAndIsFreedAgain() throws {
        // Only root can mount; others have the simulated full disk above, and are told.
        guard geteuid() == 0 else {
            print("not root, so no file system was mounted: a full disk was only simulated")
            return
        }
        let directory = TemporaryDirectory()
        let mountPoint = directory("tiny")
        mkdir(mountPoint, 0o700)
        guard mount("tmpfs", mountPoint, "tmpfs", 0, "size=2m") == 0 else {
            // Root without the right to mount, as in many containers.
            #expect(errno == EPERM || errno == EACCES)
            print("no right to mount, so a full disk was only simulated")
            return
        }
        defer { umount2(mountPoint, CInt(MNT_DETACH)) }
        var settings = configuration(directory, segment: 256 << 10, maximum: 64 << 20)
        settings.directory = "\(mountPoint)/spool"
        let spool = try openSpool(settings)
        var next: UInt64 = 0
        for _ in 0..<5 {
            while spool.tryAppend(batch([[UInt8](repeating: 5, count: 20_000)])) {
                if case .noSpace = spool.statistics().trouble { break }
            }
            while true {
                if case .noSpace = spool.statistics().trouble { break }
                if !spool.tryAppend(batch([[UInt8](repeating: 5, count: 20_000)])) { usleep(200) }
            }
            let reader = try spool.reader(from: next)
            while let frame = try reader.next() {
                #expect(frame.firstSequence == next)
                next = frame.endSequence
            }
            spool.release(below: next)
            // What waited in the queue takes the room that was given back.
            while spool.committed <= next, spool.statistics().trouble != nil { usleep(200) }
        }
        while !spool.flush(timeoutMilliseconds: 20) { spool.release(below: spool.committed) }
        #expect(spool.statistics().trouble == nil)
        spool.close()
        let again = try openSpool(settings)
        #expect(again.recovery.isClean)
        again.close()
    }
}
