import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

@Suite struct SpoolTests {
    @Test func recordsComeBackByteForByte() throws {
        let directory = TemporaryDirectory()
        let bodies: [[UInt8]] = [
            [], [0], Array("plain".utf8), [0xFF, 0xFE, 0x80], Array("with\r".utf8), [],
            [UInt8](repeating: 0x41, count: 1 << 20), [0, 0, 0],
        ]
        var settings = configuration(directory, segment: 4 << 20, maximum: 64 << 20)
        settings.minimumNextSequence = 7
        let spool = try openSpool(settings)
        let sent = batch(bodies, position: "p1", gap: 1)
        sent.baseOffset = 4711
        var attributes: [UInt8] = []
        RecordAttributes.append(RecordAttributes.truncatedKey, 5_000_000, to: &attributes)
        let start = sent.length
        let grown = RecordBatch(capacity: sent.length + attributes.count)
        _ = grown.copyIn(UnsafeRawBufferPointer(start: sent.block, count: sent.length))
        _ = attributes.withUnsafeBytes { grown.copyIn($0) }
        for index in 0..<sent.recordCount {
            let entry = sent.records[index]
            grown.append(
                RecordEntry(start: entry.start, length: UInt32(entry.length), flags: index == 6 ? .truncated : []))
        }
        grown.attributes = [AttributeEntry(record: 6, start: UInt32(start), length: UInt32(attributes.count))]
        grown.context = sent.context
        grown.position = sent.position
        grown.baseOffset = 4711
        grown.time = 1234
        try spool.append(grown)
        #expect(spool.flush())

        let reader = try spool.reader(from: 7)
        let frame = try #require(try reader.next())
        #expect(frame.firstSequence == 7)
        #expect(frame.recordCount == bodies.count)
        #expect(frame.time == 1234)
        #expect(frame.baseOffset == 4711)
        #expect(frame.position == SourcePosition(source: key("source"), value: Array("p1".utf8)))
        #expect(RecordContext(decoding: frame.context)?.source == "source")
        for (index, body) in bodies.enumerated() {
            #expect(Array(frame.body(index)) == body)
            #expect(frame.entry(index).flags == (index == 6 ? .truncated : []))
            #expect(frame.attributes(of: index).elementsEqual(index == 6 ? attributes : []))
        }
        #expect(try reader.next() == nil)
        spool.close()
    }

    /// Frames that are not wanted are stepped over by their heads, in several segments, and nothing of the others is missed.
    @Test(arguments: 0..<8) func aReaderStepsOverFramesByTheirContext(_ round: Int) throws {
        let directory = TemporaryDirectory()
        var random = SeededGenerator(seed: UInt64(round))
        let disk = ReadCounter()
        var settings = unsynced(configuration(directory, segment: 4 << 20, maximum: 64 << 20))
        settings.environment.disk = disk
        let spool = try openSpool(settings)
        var wanted: [ReadRecord] = []
        var (number, bytes, unwantedBytes) = (0, 0, 0)
        while spool.statistics().segments < 4 {
            let isWanted = Int.random(in: 0..<4, using: &random) == 0
            let size = [10, 1000, 200_000][Int.random(in: 0..<3, using: &random)]
            let bodies = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: size)
            }
            for body in bodies {
                if isWanted { wanted.append(ReadRecord(id: UInt64(number), body: body)) }
                number += 1
            }
            bytes += bodies.count * size
            if !isWanted { unwantedBytes += bodies.count * size }
            try spool.append(batch(bodies, source: isWanted ? "wanted" : "other"))
        }
        #expect(spool.flush())
        let before = disk.bytes
        let reader = try spool.reader(from: 0, stepsOver: true)
        var found: [ReadRecord] = []
        var end: UInt64 = 0
        var unwanted = 0
        while reader.nextSequence < number {
            if try reader.stepOver(if: { RecordContext(decoding: $0)?.source != "wanted" }) {
                #expect(reader.nextSequence > end)
                end = reader.nextSequence
                continue
            }
            let frame = try #require(try reader.next())
            #expect(frame.firstSequence == end)
            end = frame.endSequence
            // The first of a segment follows its checkpoint, which is not stepped over.
            guard RecordContext(decoding: frame.context)?.source == "wanted" else {
                unwanted += 1
                continue
            }
            for index in 0..<frame.recordCount {
                found.append(ReadRecord(id: frame.firstSequence + UInt64(index), body: Array(frame.body(index))))
            }
        }
        #expect(found == wanted)
        #expect(try !reader.stepOver { _ in true } && reader.next() == nil)
        #expect(unwanted <= spool.statistics().segments && disk.bytes - before < bytes - unwantedBytes / 3)
        #expect(spool.statistics().quarantinedRecords == 0)
        spool.close()
    }

    /// What is damaged is dealt with by `next`, as ever: only a sound header can be stepped over.
    @Test func damageIsNotSteppedOver() throws {
        let directory = TemporaryDirectory()
        let settings = unsynced(configuration(directory))
        let spool = try openSpool(settings)
        for number in 0..<5 {
            try spool.append(batch(["\(number)"], source: number == 4 ? "wanted" : "other"))
            #expect(spool.flush())
        }
        let places = try framePlaces(settings.directory).filter { $0.header.kind == .records }
        try #require(places.count == 5)
        for (index, offset) in [(1, FrameHeader.size + 40), (2, 20), (3, FrameHeader.size + 40)] {
            let file = try SpoolFile("\(settings.directory)/\(places[index].file)", .readWrite, on: SystemDisk())
            var byte: UInt8 = 0xEE
            try withUnsafeMutableBytes(of: &byte) { bytes throws in
                var vector = [iovec(iov_base: bytes.baseAddress, iov_len: 1)]
                try vector.withUnsafeMutableBufferPointer {
                    try file.write($0, at: places[index].range.lowerBound + offset)
                }
            }
        }
        let reader = try spool.reader(from: 0, stepsOver: true)
        let first = try #require(try reader.next())
        #expect(first.endSequence == 1)
        // Nobody wants the second, and so nobody looks at its records.
        #expect(try reader.stepOver { _ in true })
        #expect(reader.nextSequence == 2)
        // Behind the third's header nobody knows where the next one is; the fourth is damaged too.
        #expect(try !reader.stepOver { _ in true })
        let frame = try #require(try reader.next())
        #expect(frame.firstSequence == 4 && text(frame.body(0)) == "4")
        #expect(spool.statistics().quarantinedRecords == 2)
        spool.close()
    }

    @Test func aReaderPassesIdsThatARecoverySkippedAndThenWaits() throws {
        let directory = TemporaryDirectory()
        var settings = configuration(directory)
        let first = try openSpool(settings)
        try first.append(batch(["a", "b"]))
        #expect(first.flush())
        first.close()
        settings.minimumNextSequence = 100
        let spool = try openSpool(settings)
        let reader = try spool.reader(from: 0)
        #expect(try reader.next()?.recordCount == 2)
        #expect(try reader.next() == nil)
        #expect(reader.nextSequence == 100 && reader.unusedSequences == 98)
        #expect(!reader.waitForMore(timeoutMilliseconds: 1))
        try spool.append(batch(["c"]))
        #expect(spool.flush())
        #expect(try reader.next()?.firstSequence == 100)
        #expect(reader.unusedSequences == 98)
        spool.close()
    }

    @Test func aReaderSeesOnlyWhatIsSyncedAndIsTold() throws {
        let directory = TemporaryDirectory()
        let blocked = Gate()
        let told = Mutex<[UInt64]>([])
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk { operation, path in
            if operation == .sync, path.hasSuffix(".spool") || path.hasSuffix(".new") { blocked.pass() }
            return 0
        }
        settings.onCommit = { next in told.withLock { $0.append(next) } }
        let spool = try openSpool(settings)
        blocked.close()
        defer { blocked.open() }
        try spool.append(batch(["a"]))
        blocked.awaitVisitor()
        let reader = try spool.reader(from: 0)
        #expect(try reader.next() == nil)
        #expect(spool.committed == 0)
        // While the sync hangs, these three gather to one group.
        for text in ["b", "c", "d"] { try spool.append(batch([text])) }
        blocked.open()
        #expect(reader.waitForMore(timeoutMilliseconds: 60_000))
        #expect(spool.flush())
        #expect(try readAll(spool).map { String(decoding: $0.body, as: UTF8.self) } == ["a", "b", "c", "d"])
        #expect(told.withLock { $0 } == [1, 4])
        #expect(spool.statistics().groups == 2)
    }

    @Test func aReaderMayBeginInsideAFrameAndGoesOnOverSegments() throws {
        let directory = TemporaryDirectory()
        let spool = try openSpool(configuration(directory))
        var expected: [ReadRecord] = []
        for frame in 0..<300 {
            let bodies = (0..<3).map { Array("frame \(frame) record \($0) \(String(repeating: "x", count: 100))".utf8) }
            for body in bodies { expected.append(ReadRecord(id: UInt64(expected.count), body: body)) }
            try spool.append(batch(bodies))
        }
        #expect(spool.flush())
        #expect(spool.statistics().segments > 5)
        for start in [0, 1, 2, 3, 100, 449, 899, 900] {
            #expect(try readAll(spool, from: UInt64(start)) == Array(expected[start...]))
        }
        #expect(throws: SpoolError.beyondEnd(wanted: 901, next: 900)) { try spool.reader(from: 901) }
    }

    @Test func wakeEndsAWait() throws {
        let directory = TemporaryDirectory()
        let spool = try openSpool(configuration(directory))
        let reader = try spool.reader(from: 0)
        reader.wake()
        #expect(!reader.waitForMore(timeoutMilliseconds: 60_000))
        #expect(!reader.waitForMore(timeoutMilliseconds: 1))
        try spool.append(batch(["x"]))
        #expect(reader.waitForMore(timeoutMilliseconds: 60_000))
        #expect(try reader.next()?.recordCount == 1)
    }

    @Test func closeStoresWhatIsQueuedAndRefusesMore() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        var spool = try openSpool(settings)
        for number in 0..<50 { try spool.append(batch(["record \(number)"], position: "\(number)")) }
        spool.close()
        spool.close()
        #expect(throws: SpoolError.closed) { try spool.append(batch(["late"])) }
        #expect(!spool.tryAppend(batch(["late"])))
        spool = try openSpool(settings)
        #expect(spool.recovery.isClean)
        #expect(spool.positions() == [key("source"): Array("49".utf8)])
        #expect(try readAll(spool).count == 50)
        #expect(spool.statistics().nextSequence == 50)
    }

    @Test func positionsSurviveRollReleaseAndReopen() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        var spool = try openSpool(settings)
        var expected: [SourceKey: [UInt8]] = [:]
        for number in 0..<400 {
            let source = "source \(number % 37)"
            // Now and then a source is forgotten, by a frame without records.
            if number % 50 == 49 {
                try spool.append(batch([String](), source: source, position: ""))
                expected[key(source)] = nil
            } else {
                let value = "position \(number)"
                try spool.append(batch([String(repeating: "y", count: 300)], source: source, position: value))
                expected[key(source)] = Array(value.utf8)
            }
            if number % 100 == 60 {
                #expect(spool.flush())
                spool.release(below: spool.committed)
                #expect(spool.flush())
                #expect(spool.positions() == expected)
                if number % 200 == 60 { spool.close() } else { spool.abandon() }
                spool = try openSpool(settings)
                #expect(spool.positions() == expected)
            }
        }
        #expect(spool.flush())
        #expect(spool.positions() == expected)
    }

    @Test func syncPoliciesKeepTheirWord() throws {
        for policy in [SyncPolicy.interval(.seconds(3600)), .interval(.milliseconds(1)), .never] {
            let directory = TemporaryDirectory()
            let syncs = Atomic<Int>(0)
            var settings = configuration(directory)
            settings.sync = policy
            settings.environment.disk = FaultyDisk { operation, _ in
                if operation == .sync || operation == .syncDirectory { syncs.add(1, ordering: .relaxed) }
                return 0
            }
            let spool = try openSpool(settings)
            let before = syncs.load(ordering: .relaxed)
            let reader = try spool.reader(from: 0)
            try spool.append(batch(["x"]))
            switch policy {
            case .interval(.seconds(3600)):
                #expect(try reader.next() == nil)
                #expect(spool.flush())
            default: #expect(reader.waitForMore(timeoutMilliseconds: 60_000))
            }
            #expect(try reader.next()?.recordCount == 1)
            if policy == .never { #expect(syncs.load(ordering: .relaxed) == before) }
            spool.close()
            #expect(try readAll(openSpool(settings)).count == 1)
        }
    }

    @Test func batchesGoBackToTheirPoolEvenWhenAnIntervalHoldsThem() throws {
        let directory = TemporaryDirectory()
        var settings = configuration(directory, segment: 1 << 20, maximum: 64 << 20)
        settings.sync = .interval(.seconds(3600))
        let spool = try openSpool(settings)
        let pool = BatchPool(blockCapacity: 4096, limit: 4)
        let reader = try spool.reader(from: 0)
        var seen = 0
        for number in 0..<64 {
            var taken = pool.take()
            while taken == nil {
                // Somebody must be about to commit: half of the pool is held.
                _ = reader.waitForMore(timeoutMilliseconds: 1000)
                while let frame = try reader.next() { seen += frame.recordCount }
                taken = pool.take()
            }
            let batch = try #require(taken)
            let body = Array("number \(number)".utf8)
            let start = try #require(body.withUnsafeBytes { batch.copyIn($0) })
            batch.append(RecordEntry(start: start, length: UInt32(body.count)))
            try spool.append(batch)
        }
        #expect(spool.flush())
        while let frame = try reader.next() { seen += frame.recordCount }
        #expect(seen == 64)
    }
}

/// A place where one thread can be held until a test lets it go.
final class Gate: Sendable {
    final class Counter: Sendable {
        private let value = Atomic<Int>(0)

        func next() -> Int { value.add(1, ordering: .relaxed).newValue }
    }

    private let monitor = Monitor()
    private let changed: Monitor.Condition
    private let state = Mutex((isOpen: true, visitors: 0, passes: 0))

    init() { changed = Monitor.Condition(monitor) }

    func close() { state.withLock { $0 = (false, 0, 0) } }

    func open() {
        monitor.withLock {
            state.withLock { $0.isOpen = true }
            changed.broadcast()
        }
    }

    /// Lets the visitor that waits go on, and holds the next one.
    func letOnePass() {
        monitor.withLock {
            state.withLock {
                $0.passes += 1
                $0.visitors -= 1
            }
            changed.broadcast()
        }
    }

    func pass() {
        monitor.lock()
        defer { monitor.unlock() }
        state.withLock { $0.visitors += 1 }
        changed.broadcast()
        while !mayPass() { changed.wait() }
    }

    private func mayPass() -> Bool {
        state.withLock {
            if $0.isOpen { return true }
            guard $0.passes > 0 else { return false }
            $0.passes -= 1
            return true
        }
    }

    func awaitVisitor() {
        monitor.lock()
        defer { monitor.unlock() }
        while state.withLock({ $0.visitors }) == 0 { changed.wait() }
    }
}

/// The machine's disk, which counts what is read of it.
private final class ReadCounter: Disk {
    private let disk = SystemDisk()
    private let read = Atomic<Int>(0)

    var bytes: Int { read.load(ordering: .relaxed) }

    func open(_ path: String, _ flags: CInt) -> Int { disk.open(path, flags) }
    func close(_ file: CInt) { disk.close(file) }
    func size(_ file: CInt) -> Int { disk.size(file) }
    func read(_ file: CInt, into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = disk.read(file, into: bytes, at: offset)
        read.add(max(0, count), ordering: .relaxed)
        return count
    }
    func write(_ file: CInt, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int) -> Int {
        disk.write(file, vectors, at: offset)
    }
    func startWriting(_ file: CInt, at offset: Int, count: Int) { disk.startWriting(file, at: offset, count: count) }
    func syncData(_ file: CInt) -> Int { disk.syncData(file) }
    func sync(_ file: CInt) -> Int { disk.sync(file) }
    func truncate(_ file: CInt, to size: Int) -> Int { disk.truncate(file, to: size) }
    func preallocate(_ file: CInt, _ size: Int) -> Int { disk.preallocate(file, size) }
    func lock(_ file: CInt) -> Int { disk.lock(file) }
    func unlock(_ file: CInt) { disk.unlock(file) }
    func link(_ path: String, as other: String) -> Int { disk.link(path, as: other) }
    func unlink(_ path: String) -> Int { disk.unlink(path) }
    func rename(_ path: String, to other: String) -> Int { disk.rename(path, to: other) }
    func makeDirectory(_ path: String) -> Int { disk.makeDirectory(path) }
    func space(_ path: String, into space: inout DiskSpace) -> Int { disk.space(path, into: &space) }
    func list(_ path: String, into names: inout [String]) -> Int { disk.list(path, into: &names) }
}
