import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// A spool looked at while it is written, released and recycled, and after.
@Suite struct StoredSpoolTests {
    private let directory = TemporaryDirectory()
    private var settings: SpoolConfiguration { configuration(directory, segment: 8 << 10) }

    @Test func aStoppedSpoolIsToldWithoutATouch() throws {
        let spool = try openSpool(settings)
        for number in 0..<200 {
            try spool.append(batch(["record \(number)"], source: "source \(number % 3)", position: "\(number)"))
        }
        #expect(spool.flush())
        let running = try StoredSpool(directory: settings.directory)
        #expect(running.endSequence == 200 && running.firstSequence == 0)
        spool.close()
        try Ledger.open(directory: settings.directory, name: "hub.ledger", firstSequence: 7, logger: quiet).close()
        let before = Snapshot(settings.directory)

        let stored = try StoredSpool(directory: settings.directory, everything: true)
        #expect(try readAll(stored).map(\.id) == Array(0..<200))
        #expect(try readAll(stored, from: 150).map(\.id) == Array(150..<200))
        #expect(stored.damage.isEmpty && stored.unfinishedBytes == 0 && stored.foreignFiles.isEmpty)
        #expect(stored.segments.count > 1 && stored.segments.allSatisfy { !$0.isDamaged && $0.created != nil })
        #expect(stored.segments.map(\.ids).reduce(0) { $0 + $1.count } == 200)
        #expect(stored.ledgers.map(\.output) == ["hub"] && stored.floor == 7)
        #expect(stored.positions.count == 3)
        #expect(Snapshot(settings.directory).files.map(\.bytes) == before.files.map(\.bytes))
    }

    /// Segments are begun, left, released and recycled all the time; whoever looks sees whole records without a gap, and
    /// never damage.
    @Test func aLivingSpoolLooksWholeAtEveryMoment() throws {
        let spool = try openSpool(settings)
        let isOver = Atomic(false)
        let writer = startThread("writer") {
            var number = 0
            while !isOver.load(ordering: .relaxed) {
                try? spool.append(batch(["record \(number)", String(repeating: "x", count: number % 700)]))
                number += 1
                if number % 50 == 0 { spool.release(below: spool.committed - min(spool.committed, 60)) }
            }
        }
        defer {
            isOver.store(true, ordering: .relaxed)
            ThreadHandle(writer).join()
            spool.close()
        }
        var looks = 0
        var last: UInt64 = 0
        while looks < 300 || last < 5000 {
            let stored = try StoredSpool(directory: settings.directory, everything: looks % 2 == 0)
            #expect(stored.damage.isEmpty, "at look \(looks): \(stored.damage)")
            let ids = Set(try readAll(stored).map(\.id))
            // What was released while it was read is passed over, and nothing else.
            let first = max(stored.firstSequence, spool.statistics().firstSequence)
            #expect((first..<max(first, stored.endSequence)).allSatisfy(ids.contains))
            #expect(stored.endSequence >= last)
            last = stored.endSequence
            looks += 1
        }
    }

    @Test func whatIsGoneFromTheMiddleIsTold() throws {
        let spool = try openSpool(settings)
        for number in 0..<300 { try spool.append(batch(["record \(number)"])) }
        #expect(spool.flush())
        spool.close()
        let whole = try StoredSpool(directory: settings.directory).segments
        let gone = try #require(whole.dropFirst().first)
        try SpoolDirectory(path: settings.directory).unlink(gone.name)
        let stored = try StoredSpool(directory: settings.directory, everything: true)
        #expect(stored.damage.map(\.ids) == [gone.ids] && stored.damage.first?.segment == whole.first?.name)
        #expect(try readAll(stored).map(\.id) == (0..<300).filter { !gone.ids.contains($0) })
    }

    @Test func whereThereIsNoSpoolThatIsSaid() {
        #expect(throws: SpoolError.self) { try StoredSpool(directory: directory("none")) }
    }
}
