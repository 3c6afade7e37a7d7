import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

@Suite struct SectionTests {
    /// One section of a batch: its peer and bodies; every second record gets an attribute.
    private struct Part {
        var peer: String
        var bodies: [String]

        var context: [UInt8] { RecordContext(host: peer, source: peer, input: "i").encoded }
    }

    private func sectioned(_ parts: [Part], position: String? = nil, capacity: Int = 64 << 10) -> RecordBatch {
        let batch = RecordBatch(capacity: capacity)
        for part in parts {
            for (index, body) in part.bodies.enumerated() {
                let start = Int(Array(body.utf8).withUnsafeBytes { batch.copyIn($0)! }) - batch.sectionStart
                batch.append(RecordEntry(start: UInt32(start), length: UInt32(body.utf8.count)))
                guard index % 2 == 1 else { continue }
                var bytes: [UInt8] = []
                RecordAttributes.append("number", Int64(index), to: &bytes)
                let at = Int(bytes.withUnsafeBytes { batch.copyIn($0)! }) - batch.sectionStart
                batch.attributes.append(
                    AttributeEntry(record: UInt32(index), start: UInt32(at), length: UInt32(bytes.count)))
            }
            batch.closeSection(context: part.context, baseOffset: UInt64(part.bodies.count))
        }
        batch.time = 1_700_000_000_000
        if let position { batch.position = SourcePosition(source: key("source"), value: Array(position.utf8)) }
        return batch
    }

    private func parts(_ count: Int, seed: Int) -> [Part] {
        (0..<count).map { part in
            Part(
                peer: "10.0.\(seed).\(part)",
                bodies: (0..<(part * 7 + seed) % 5).map {
                    "\(seed) \(part) \($0) " + String(repeating: "x", count: part)
                })
        }
    }

    /// Every frame with records (readers pass the others) compared with what was sent.
    private func expect(_ sent: [Part], in spool: Spool, from sequence: UInt64 = 0) throws {
        let reader = try spool.reader(from: sequence)
        let expected = sent.filter { !$0.bodies.isEmpty }
        var next = sequence
        var found: [Part] = []
        while let frame = try reader.next() {
            #expect(frame.firstSequence == next)
            next += UInt64(frame.recordCount)
            let context = try #require(RecordContext(decoding: frame.context))
            let bodies = (0..<frame.recordCount).map { text(frame.body($0)) }
            for index in 0..<frame.recordCount {
                var number: Int64?
                RecordAttributes.forEach(in: frame.attributes(of: index)) { _, value in
                    if case .integer(let value) = value { number = value }
                }
                #expect(number == (index % 2 == 1 ? Int64(index) : nil))
            }
            #expect(frame.baseOffset == UInt64(bodies.count))
            found.append(Part(peer: context.host, bodies: bodies))
        }
        #expect(found.map(\.peer) == expected.map(\.peer))
        #expect(found.map(\.bodies) == expected.map(\.bodies))
    }

    @Test func eachSectionIsAFrameWithItsContextAndThePositionIsOnTheLast() throws {
        let directory = TemporaryDirectory()
        var spool = try openSpool(configuration(directory))
        let sent = parts(9, seed: 1)
        let batch = sectioned(sent, position: "p")
        #expect(batch.partCount == 9)
        var record = 0
        for part in sent {
            for body in part.bodies {
                #expect(text(batch.body(record)) == body)
                record += 1
            }
        }
        try spool.append(batch)
        #expect(spool.flush())
        #expect(spool.statistics().batchesAppended == 1 && spool.statistics().groups == 1)
        #expect(batch.recordCount == 0 && batch.sections.isEmpty && batch.partCount == 1)
        try expect(sent, in: spool)
        let reader = try spool.reader(from: 0)
        var positions: [Bool] = []
        while let frame = try reader.next() { positions.append(frame.position != nil) }
        #expect(positions == Array(repeating: false, count: 6) + [true])
        spool.close()
        spool = try openSpool(configuration(directory))
        #expect(spool.recovery.isClean)
        try expect(sent, in: spool)
        #expect(spool.positions() == [key("source"): Array("p".utf8)])
    }

    @Test func sectionedAndPlainBatchesMixOverSegments() throws {
        let directory = TemporaryDirectory()
        let spool = try openSpool(configuration(directory))
        var expected: [Part] = []
        for number in 0..<120 {
            if number % 3 == 0 {
                try spool.append(batch(["plain \(number)"], source: "plain"))
                expected.append(Part(peer: "h", bodies: ["plain \(number)"]))
            } else {
                // Up to 40 sections: more I/O vectors than one write takes come together in a group.
                let sent = parts(number % 40 + 1, seed: number)
                try spool.append(sectioned(sent))
                expected += sent.filter { !$0.bodies.isEmpty }
            }
        }
        #expect(spool.flush())
        #expect(spool.statistics().segments > 5)
        let frames = try allFrames(spool)
        #expect(frames.map(\.peer) == expected.map(\.peer))
        #expect(frames.map(\.bodies) == expected.map(\.bodies))
    }

    private func allFrames(_ spool: Spool) throws -> [Part] {
        let reader = try spool.reader(from: 0)
        var found: [Part] = []
        while let frame = try reader.next() {
            let host = RecordContext(decoding: frame.context)?.host ?? "?"
            found.append(Part(peer: host, bodies: (0..<frame.recordCount).map { text(frame.body($0)) }))
        }
        return found
    }

    @Test(arguments: [1, 3]) func afterAFailedSyncABatchIsWrittenAgainAsAWhole(_ times: Int) throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk(faults.hook)
        let spool = try openSpool(settings)
        let left = Atomic<Int>(times)
        faults.set { _, operation, path in
            guard operation == .sync, path.hasSuffix(".spool"), left.load(ordering: .relaxed) > 0 else { return 0 }
            left.subtract(1, ordering: .relaxed)
            return EIO
        }
        let sent = parts(12, seed: 3)
        let pool = BatchPool(blockCapacity: 64 << 10, limit: 1)
        let batch = try #require(pool.take())
        let model = sectioned(sent, position: "1")
        _ = batch.copyIn(UnsafeRawBufferPointer(start: model.block, count: model.length))
        for index in 0..<model.recordCount { batch.append(model.records[index]) }
        batch.attributes = model.attributes
        batch.sections = model.sections
        batch.position = model.position
        try spool.append(batch)
        #expect(spool.flush())
        #expect(spool.statistics().writeFailures == UInt64(times))
        try expect(sent, in: spool)
        // Given back once: the pool has one batch, not two.
        #expect(pool.take() === batch)
        #expect(pool.take() == nil)
    }

    /// Those in use still count, and come back.
    @Test func idleBatchesAreFreedAndMadeAgain() throws {
        let pool = BatchPool(blockCapacity: 4096, limit: 2)
        let used = try #require(pool.take())
        var batch = pool.take()
        weak let idle = batch
        batch?.recycle()
        batch = nil
        #expect(idle != nil)
        pool.removeIdle()
        #expect(idle == nil)
        #expect(pool.take() != nil)
        #expect(pool.take() == nil)
        used.recycle()
        #expect(pool.take() === used)
    }

    @Test func aBatchIsTakenWholeOrNotAtAll() throws {
        let directory = TemporaryDirectory()
        let gate = Gate()
        var settings = configuration(directory, segment: 64 << 10, maximum: 256 << 10)
        settings.queueByteLimit = 4096
        settings.environment.disk = FaultyDisk { operation, path in
            if operation == .sync, path.hasSuffix(".spool") { gate.pass() }
            return 0
        }
        let spool = try openSpool(settings)
        gate.close()
        defer { gate.open() }
        #expect(spool.tryAppend(batch(["a"])))
        gate.awaitVisitor()
        #expect(spool.tryAppend(batch(["b"])))
        let many = sectioned(parts(60, seed: 4))
        let records = many.recordCount
        let next = spool.statistics().nextSequence
        #expect(!spool.tryAppend(many))
        #expect(many.recordCount == records && many.partCount == 60)
        #expect(spool.statistics().nextSequence == next)
        // Too large as a sum, though no section is.
        let large = sectioned(
            (0..<20).map { Part(peer: "p\($0)", bodies: [String(repeating: "y", count: 4000)]) }, capacity: 128 << 10)
        let bytes = FrameSize(of: large).length
        #expect(throws: SpoolError.batchTooLarge(bytes: bytes, limit: 61_440)) { try spool.append(large) }
        gate.open()
        #expect(spool.flush())
        #expect(spool.tryAppend(many))
        #expect(spool.flush())
        #expect(try readAll(spool).count == 2 + records)
    }

    @Test func sectionsOfRandomShapesComeBack() throws {
        for seed in [11, 12, UInt64.random(in: 0..<(.max))] {
            print("sections, seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            let directory = TemporaryDirectory()
            var settings = unsynced(configuration(directory, segment: 64 << 10, maximum: 8 << 20))
            settings.groupByteLimit = Int.random(in: 1000...60_000, using: &generator)
            var spool = try openSpool(settings)
            var expected: [Part] = []
            for number in 0..<60 {
                let sent = (0..<Int.random(in: 1...30, using: &generator)).map { part in
                    Part(
                        peer: "\(number).\(part)",
                        bodies: (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                            String(repeating: "z", count: Int.random(in: 0...90, using: &generator))
                        })
                }
                try spool.append(sectioned(sent))
                expected += sent.filter { !$0.bodies.isEmpty }
                if number % 20 == 19 {
                    #expect(spool.flush())
                    spool.close()
                    spool = try openSpool(settings)
                }
            }
            #expect(spool.flush())
            let frames = try allFrames(spool)
            #expect(frames.map(\.peer) == expected.map(\.peer))
            #expect(frames.map(\.bodies) == expected.map(\.bodies))
        }
    }
}
