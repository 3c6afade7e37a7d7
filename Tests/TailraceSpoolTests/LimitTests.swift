import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// Bytes that the segment files take on the disk.
func diskUsage(_ directory: String) -> Int {
    var total = 0
    for name in names(directory) where name.hasSuffix(".spool") || name.hasSuffix(".spare") || name.hasSuffix(".new") {
        var status = stat()
        if stat("\(directory)/\(name)", &status) == 0 { total += Int(status.st_blocks) * 512 }
    }
    return total
}

@Suite struct LimitTests {
    @Test func aFullSpoolBlocksUntilRecordsAreReleased() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 64 << 10, maximum: 256 << 10)
        let spool = try openSpool(settings)
        let body = [UInt8](repeating: 7, count: 10_000)
        // Fill it from a thread that blocks.
        let sent = Atomic<Int>(0)
        let thread = ThreadHandle(
            startThread("filler") {
                while (try? spool.append(batch([body]))) != nil { sent.add(1, ordering: .relaxed) }
            })
        let reader = try spool.reader(from: 0)
        var read = 0
        for _ in 0..<10 {
            while spool.statistics().trouble != .full { usleep(500) }
            #expect(!spool.tryAppend(batch(["no room"])))
            #expect(diskUsage(settings.directory) <= 256 << 10)
            #expect(spool.statistics().bytesOnDisk <= 256 << 10)
            while let frame = try reader.next() {
                #expect(frame.firstSequence == UInt64(read))
                #expect(frame.body(0).elementsEqual(body))
                read += 1
            }
            spool.release(below: UInt64(read))
            // Everything was acknowledged, so there is room again.
            while spool.committed <= UInt64(read) { usleep(500) }
        }
        spool.close()
        thread.join()
        #expect(sent.load(ordering: .relaxed) >= 10 * 12)
        #expect(spool.statistics().appendRefusals >= 10)
        let statistics = spool.statistics()
        #expect(statistics.segmentsRecycled > 5)
    }

    @Test func whatIsNotReleasedIsToldInBytes() {
        func segment(_ ids: Range<UInt64>, _ bytes: Int) -> SegmentInfo {
            SegmentInfo(
                generation: 1, previousEnd: ids.lowerBound, first: ids.lowerBound, end: ids.upperBound, limit: bytes,
                size: 1000, isSealed: true)
        }
        // The last one was just begun.
        let segments = [segment(0..<10, 1000), segment(10..<30, 800), segment(30..<30, 160)]
        for (released, bytes) in [(0, 1800), (5, 1300), (10, 800), (25, 200), (30, 0)] {
            let state = SpoolState(
                nextSequence: 30, committed: 30, released: UInt64(released), segments: segments, positions: [:],
                positionBytes: 0)
            #expect(state.unreleasedBytes == bytes)
        }
    }

    @Test func limitsChangeWhileItRuns() throws {
        let directory = TemporaryDirectory()
        var settings = configuration(directory, segment: 64 << 10, maximum: 256 << 10)
        settings.sync = .interval(.seconds(3600))
        let spool = try openSpool(settings)
        let body = [UInt8](repeating: 7, count: 10_000)
        try spool.append(batch([body]))
        // The hour is over.
        spool.change(maximumSize: 256 << 10, sync: .always, minimumFree: nil)
        while spool.committed < 1 { usleep(500) }
        var sent = 1
        while spool.statistics().trouble != .full {
            if try spool.append(batch([body]), timeoutMilliseconds: 20) { sent += 1 }
        }
        #expect(try !spool.append(batch([body]), timeoutMilliseconds: 1))
        // With room for all that may wait in memory.
        #expect(spool.change(maximumSize: 64 << 20, sync: .always, minimumFree: nil) == 64 << 20)
        try spool.append(batch([body]))
        #expect(spool.flush())
        #expect(spool.statistics().bytesOnDisk > 256 << 10)
        #expect(spool.statistics().maximumSize == 64 << 20)
        // Nothing is left free of what is there, until somebody says otherwise.
        spool.change(maximumSize: 64 << 20, sync: .always, minimumFree: 1 << 50)
        while !(spool.statistics().trouble.map { "\($0)".contains("minimum_free") } ?? false) {
            _ = try spool.append(batch([body]), timeoutMilliseconds: 5)
        }
        spool.change(maximumSize: 64 << 20, sync: .always, minimumFree: 0)
        #expect(spool.flush())
        // Segments do not become smaller.
        #expect(spool.change(maximumSize: 1, sync: .never, minimumFree: nil) == 256 << 10)
        spool.release(below: spool.statistics().nextSequence)
        spool.close()
        #expect(sent >= 12)
    }

    @Test func retentionLetsTheOldestSegmentsGoBeforeTheSpoolIsFull() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 64 << 10, maximum: 256 << 10)
        let spool = try openSpool(settings)
        let body = [UInt8](repeating: 7, count: 10_000)
        for number in 0..<200 {
            try spool.append(batch([body]))
            while spool.committed <= UInt64(number) { usleep(100) }
            spool.releaseOldest()
            #expect(spool.statistics().trouble == nil)
        }
        let statistics = spool.statistics()
        #expect(statistics.bytesOnDisk <= 256 << 10)
        // At least half of what fits is still there, and can be read to the end.
        #expect(statistics.firstSequence > 0 && statistics.firstSequence <= 190)
        let reader = try spool.reader(from: statistics.firstSequence)
        var next = statistics.firstSequence
        while let frame = try reader.next() {
            #expect(frame.firstSequence == next)
            next = frame.endSequence
        }
        #expect(next == 200)
        spool.close()
    }

    @Test func aThousandFillsAndDrainsLeaveOneSegmentAndItsSpares() throws {
        let directory = TemporaryDirectory()
        let settings = unsynced(configuration(directory, segment: 8 << 10, maximum: 1 << 20))
        let spool = try openSpool(settings)
        let body = [UInt8](repeating: 7, count: 3000)
        var generator = SeededGenerator(seed: 24)
        for round in 0..<1000 {
            for _ in 0..<Int.random(in: 5...12, using: &generator) { try spool.append(batch([body])) }
            #expect(spool.flush())
            let end = spool.committed
            // In parts, and an output that is behind says so late.
            spool.release(below: end - UInt64.random(in: 0...5, using: &generator))
            spool.release(below: end)
            spool.release(below: end - 5)
            #expect(spool.flush())
            let now = spool.statistics()
            #expect(now.segments == 1 && now.spares <= settings.spareLimit, "round \(round)")
            #expect(now.bytesOnDisk <= UInt64((1 + settings.spareLimit) * (8 << 10)), "round \(round)")
            #expect(diskUsage(settings.directory) <= Int(now.bytesOnDisk), "round \(round)")
            let others = names(settings.directory).filter { !$0.hasSuffix(".spare") && $0 != "lock" }
            #expect(others.count == 1, "round \(round): \(others)")
        }
        spool.close()
    }

    @Test func closeEndsAWaitingAppend() throws {
        let directory = TemporaryDirectory()
        let spool = try openSpool(configuration(directory, segment: 64 << 10, maximum: 256 << 10))
        let result = Mutex<SpoolError?>(nil)
        let thread = ThreadHandle(
            startThread("filler") {
                do throws(SpoolError) {
                    while true { try spool.append(batch([[UInt8](repeating: 1, count: 5000)])) }
                } catch {
                    result.withLock { $0 = error }
                }
            })
        while spool.statistics().appendWaits == 0 || spool.statistics().trouble != .full { usleep(500) }
        spool.close()
        thread.join()
        #expect(result.withLock { $0 } == .closed)
    }

    @Test func theQueueIsBoundedInBatchesAndBytes() throws {
        let directory = TemporaryDirectory()
        let gate = Gate()
        var settings = configuration(directory, segment: 1 << 20, maximum: 16 << 20)
        settings.queueLimit = 5
        settings.queueByteLimit = 4000
        settings.environment.disk = FaultyDisk { operation, _ in
            if operation == .sync { gate.pass() }
            return 0
        }
        let spool = try openSpool(settings)
        gate.close()
        defer { gate.open() }
        try spool.append(batch(["held"]))
        gate.awaitVisitor()
        for _ in 0..<5 { #expect(spool.tryAppend(batch(["small"]))) }
        #expect(!spool.tryAppend(batch(["small"])))
        #expect(spool.statistics().queuedBatches == 5)
        gate.open()
        #expect(spool.flush())
        gate.close()
        try spool.append(batch(["held"]))
        gate.awaitVisitor()
        let large = [UInt8](repeating: 0, count: 1500)
        #expect(spool.tryAppend(batch([large])))
        #expect(spool.tryAppend(batch([large])))
        #expect(!spool.tryAppend(batch([large])))
        gate.open()
        // Larger than the whole queue: let in alone.
        #expect(spool.flush())
        #expect(spool.tryAppend(batch([[UInt8](repeating: 0, count: 10_000)])))
        #expect(spool.flush())
    }

    @Test func whatCanNeverFitIsRefusedWithItsSize() throws {
        let directory = TemporaryDirectory()
        let spool = try openSpool(configuration(directory, segment: 64 << 10, maximum: 256 << 10))
        let large = batch([[UInt8](repeating: 0, count: 70_000)])
        let bytes = FrameSize(of: large).length
        #expect(throws: SpoolError.batchTooLarge(bytes: bytes, limit: 61_440)) { try spool.append(large) }
        #expect(!spool.tryAppend(large))
        // The largest that fits, ten times over, as long as somebody reads.
        for _ in 0..<10 {
            try spool.append(batch([[UInt8](repeating: 0, count: 61_440 - 80 - 8 - 40)]))
            #expect(spool.flush())
            spool.release(below: spool.committed)
        }
        var refused = 0
        for number in 0..<2000 {
            let move = batch([String](), source: "source \(number)", position: String(repeating: "p", count: 50))
            do {
                try spool.append(move)
            } catch {
                guard case .positionsTooLarge = error else { throw error }
                refused += 1
            }
        }
        #expect(refused > 500)
        #expect(spool.flush())
        #expect(spool.positions().count == 2000 - refused)
    }

    @Test func aLimitThatCannotWorkIsRefused() {
        let directory = TemporaryDirectory()
        var settings = configuration(directory, maximum: 1000)
        #expect(throws: SpoolError.self) { try openSpool(settings) }
        settings = configuration(directory)
        settings.queueLimit = 0
        #expect(throws: SpoolError.self) { try openSpool(settings) }
    }

    @Test func aReaderBelowWhatIsReleasedIsTold() throws {
        let directory = TemporaryDirectory()
        let spool = try openSpool(configuration(directory, segment: 8 << 10))
        let slow = try spool.reader(from: 0)
        for number in 0..<60 { try spool.append(batch([[UInt8](repeating: UInt8(number), count: 1000)])) }
        #expect(spool.flush())
        #expect(try slow.next()?.firstSequence == 0)
        spool.release(below: 50)
        #expect(spool.flush())
        let first = spool.statistics().firstSequence
        #expect(first > 20 && first <= 50)
        #expect(throws: SpoolError.released(wanted: 10, first: first)) { try spool.reader(from: 10) }
        // It may still have some of its segment in memory, but then it hears it.
        #expect(throws: SpoolError.self) {
            while let frame = try slow.next() { #expect(frame.firstSequence < first) }
        }
        #expect(spool.statistics().quarantinedPlaces == 0)
        #expect(try readAll(spool).map(\.id) == Array(first..<60))
    }

    @Test func aSpoolThatWasMadeSmallerGoesOnWhenItsRecordsAreReleased() throws {
        let directory = TemporaryDirectory()
        var spool = try openSpool(configuration(directory, segment: 1 << 20, maximum: 8 << 20))
        for _ in 0..<30 { try spool.append(batch([[UInt8](repeating: 3, count: 100_000)])) }
        spool.close()
        spool = try openSpool(configuration(directory, segment: 64 << 10, maximum: 256 << 10))
        try spool.append(batch(["waits"]))
        while spool.statistics().trouble != .full { usleep(500) }
        #expect(try readAll(spool).count == 30)
        spool.release(below: 30)
        while spool.committed < 31 { usleep(500) }
        #expect(spool.statistics().bytesOnDisk <= 256 << 10)
        #expect(try readAll(spool).map(\.id) == [30])
    }

    @Test func aSecondOpeningIsRefusedNamingTheHolder() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        let spool = try openSpool(settings)
        #expect(throws: SpoolError.locked(directory: settings.directory, holder: "\(getpid())")) {
            try openSpool(settings)
        }
        spool.close()
        try openSpool(settings).close()
    }

    @Test func aClosedSpoolIsFreeThoughAChildStillHasItsDescriptors() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        let spool = try openSpool(settings)
        // Between fork and exec a child shares every open file of ours, and with it the lock.
        let copies = (0..<1024).filter { descriptor in
            var name = [CChar](repeating: 0, count: 4096)
            let length = readlink("/proc/self/fd/\(descriptor)", &name, name.count)
            let target = String(decoding: name.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return target == settings.directory + "/lock"
        }.map { dup(CInt($0)) }
        #expect(copies.count == 1)
        spool.close()
        try openSpool(settings).close()
        copies.forEach { close($0) }
    }

    @Test func anotherProcessKeepsUsOutUntilItIsGone() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        mkdir(settings.directory, 0o700)
        // The shell leaves its id in the file and holds the lock until it is killed, as an agent would.
        let pipe = try #require(
            popen("exec 9>'\(settings.directory)/lock'; flock 9; echo $$ >&9; echo $$; exec sleep 600", "r"))
        var line = [CChar](repeating: 0, count: 64)
        #expect(fgets(&line, 64, pipe) != nil)
        let holder = String(decoding: line.prefix { $0 != 10 && $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        #expect(throws: SpoolError.locked(directory: settings.directory, holder: holder)) { try openSpool(settings) }
        kill(try #require(pid_t(holder)), SIGKILL)
        pclose(pipe)
        // The id in the file is stale now, and means nothing.
        try openSpool(settings).close()
    }
}
