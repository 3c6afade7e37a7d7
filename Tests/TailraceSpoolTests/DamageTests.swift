import Glibc
import TestSupport
import Testing

@testable import TailraceSpool

/// Where a frame lies, to tell what damage must cost.
struct FramePlace {
    let file: String
    /// Header and payload, without the padding.
    let range: Range<Int>
    let header: FrameHeader
}

/// The frames of all segments in `directory`, in order.
func framePlaces(_ directory: String) throws -> [FramePlace] {
    var places: [FramePlace] = []
    for name in names(directory, suffix: ".spool") {
        let generation = try #require(SegmentName.generation(name, suffix: ".spool"))
        let file = try SpoolFile("\(directory)/\(name)", .read, on: SystemDisk())
        let cursor = FrameCursor()
        cursor.open(file, generation: generation, offset: SegmentHeader.size, limit: try file.size())
        var start = cursor.offset
        while case .frame(let header, _) = try cursor.next(minimum: 0) {
            places.append(
                FramePlace(
                    file: name, range: start..<(start + FrameHeader.size + header.payloadLength), header: header))
            start = cursor.offset
        }
    }
    return places
}

@Suite struct DamageTests {
    /// A spool of three segments with frames of one to three records, closed; and what is in it.
    static func threeSegments(
        _ directory: TemporaryDirectory
    ) throws -> (Snapshot, [ReadRecord], [SourceKey: [UInt8]]) {
        let settings = unsynced(configuration(directory, segment: 8 << 10))
        let spool = try openSpool(settings)
        var records: [ReadRecord] = []
        var number = 0
        while spool.statistics().segments < 3 || number % 8 != 0 {
            let bodies = (0..<(1 + number % 3)).map { index in
                Array("record \(number).\(index) ".utf8) + [UInt8](repeating: UInt8(number & 255), count: number % 200)
            }
            for body in bodies { records.append(ReadRecord(id: UInt64(records.count), body: body)) }
            // One group each: the test expects every byte to have been durable.
            try spool.append(batch(bodies, source: "source \(number % 5)", position: "\(number)"))
            #expect(spool.flush())
            number += 1
        }
        let positions = spool.positions()
        spool.close()
        // Tells where the spool begins when its first header is gone.
        try Ledger.open(directory: settings.directory, name: "hub.ledger", firstSequence: 0, logger: quiet).close()
        return (Snapshot(settings.directory), records, positions)
    }

    /// Opens what `change` left, reads everything, and checks that exactly the frames that it touched are missing.
    static func check(
        _ settings: SpoolConfiguration, _ records: [ReadRecord], _ positions: [SourceKey: [UInt8]],
        damaged: [FramePlace], places: [FramePlace], _ what: Comment
    ) throws {
        var lost = Set<UInt64>()
        for place in damaged {
            for id in place.header.firstSequence..<place.header.endSequence { lost.insert(id) }
        }
        let expected = records.filter { !lost.contains($0.id) }
        // Who only looks, before the start and without the lock, finds the same.
        let stored = try StoredSpool(directory: settings.directory, everything: true)
        #expect(try readAll(stored) == expected, what)
        let told = stored.damage.flatMap { Array($0.ids) }.sorted()
        let spool = try openSpool(settings)
        let found = try readAll(spool)
        #expect(found == expected, what)
        let marker = places.last { $0.header.kind == .commit }
        let isMarkerGone = damaged.contains { $0.file == marker?.file && $0.range == marker?.range }
        let statistics = spool.statistics()
        // Without the commit frame behind it, damage to the last frame looks like a torn tail.
        let next = isMarkerGone ? expected.last.map { $0.id + 1 } ?? 0 : UInt64(records.count)
        let counted = lost.filter { $0 < next }
        #expect(statistics.quarantinedRecords == UInt64(counted.count), what)
        #expect(told == counted.sorted(), what)
        #expect(statistics.nextSequence >= next, what)
        if lost.isEmpty { #expect(spool.positions() == positions, what) }
        // Life goes on, behind everything that was ever there.
        try spool.append(batch(["after"]))
        #expect(spool.flush(), what)
        #expect(try readAll(spool, from: statistics.nextSequence).map(\.body) == [Array("after".utf8)], what)
        spool.close()
        let again = try openSpool(settings)
        #expect(try readAll(again).map(\.body) == expected.map(\.body) + [Array("after".utf8)], what)
        again.close()
    }

    enum Kind: CaseIterable { case flip, zero, cut }

    @Test(arguments: Kind.allCases)
    func damageAnywhereCostsOnlyTheFramesThatItHits(_ kind: Kind) throws {
        let directory = TemporaryDirectory()
        let (snapshot, records, positions) = try Self.threeSegments(directory)
        let settings = unsynced(configuration(directory, segment: 8 << 10))
        let places = try framePlaces(settings.directory)
        #expect(places.filter { $0.header.kind == .commit }.count >= 1)
        let lastFile = try #require(names(settings.directory, suffix: ".spool").last)
        var generator = SeededGenerator.fresh("damageAnywhere")
        let step = kind == .flip ? 97 : 251
        for file in names(settings.directory, suffix: ".spool") {
            let length = try #require(snapshot.files.first { $0.name == file }).bytes.count
            let used = try #require(places.last { $0.file == file }).range.upperBound
            var at = Int.random(in: 0..<step, using: &generator)
            while at < min(length, used + 100) {
                let range: Range<Int>
                switch kind {
                case .flip: range = at..<(at + 1)
                case .zero: range = at..<min(length, at + 600)
                case .cut: range = at..<length
                }
                // A cut in the last segment is a torn tail: see `RecoveryTests`.
                if kind == .cut && file == lastFile { break }
                snapshot.restore(to: settings.directory, changing: file) { bytes in
                    switch kind {
                    case .flip: bytes[at] ^= 0x10
                    case .zero: for index in range { bytes[index] = 0 }
                    case .cut: bytes.removeSubrange(range)
                    }
                }
                let changed = readFile("\(settings.directory)/\(file)")
                let original = try #require(snapshot.files.first { $0.name == file }).bytes
                let damaged = places.filter { place in
                    place.file == file && place.range.contains { $0 >= changed.count || changed[$0] != original[$0] }
                }
                try Self.check(
                    settings, records, positions, damaged: damaged, places: places,
                    "\(kind) at \(at) of \(file), frames \(damaged.map(\.range))")
                at += step
            }
        }
    }

    @Test func aWholeSegmentMayBeMissingEmptyOrZero() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 8 << 10)
        let (snapshot, records, _) = try Self.threeSegments(directory)
        let places = try framePlaces(settings.directory)
        let files = names(settings.directory, suffix: ".spool")
        for file in files.dropLast() {
            for change in ["missing", "empty", "zero", "short", "random"] {
                snapshot.restore(to: settings.directory, changing: file) { bytes in
                    var generator = SeededGenerator(seed: 5)
                    switch change {
                    case "missing", "empty": bytes = []
                    case "zero": bytes = [UInt8](repeating: 0, count: bytes.count)
                    case "short": bytes.removeSubrange(40...)
                    default: for index in bytes.indices { bytes[index] = .random(in: 0 ... .max, using: &generator) }
                    }
                }
                if change == "missing" { unlink("\(settings.directory)/\(file)") }
                var lost = Set<UInt64>()
                for place in places where place.file == file {
                    for id in place.header.firstSequence..<place.header.endSequence { lost.insert(id) }
                }
                let spool = try openSpool(settings)
                let expected = records.filter { !lost.contains($0.id) }
                #expect(try readAll(spool) == expected, "\(change) \(file)")
                // A first segment that is missing may have been released: nobody can tell.
                let counted = file == files.first && change == "missing" ? 0 : lost.count
                #expect(spool.statistics().quarantinedRecords == UInt64(counted), "\(change) \(file)")
                spool.close()
            }
        }
    }

    @Test func theLastSegmentMayBeEmptyAndItsIdsStayUsedWhenALedgerKnowsThem() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 8 << 10)
        let (snapshot, records, _) = try Self.threeSegments(directory)
        let files = names(settings.directory, suffix: ".spool")
        let last = try #require(files.last)
        let first = try #require(try framePlaces(settings.directory).first { $0.file == last }).header.firstSequence
        for change in ["missing", "empty", "zero"] {
            snapshot.restore(to: settings.directory, changing: last) { bytes in
                bytes = change == "zero" ? [UInt8](repeating: 0, count: bytes.count) : []
            }
            if change == "missing" { unlink("\(settings.directory)/\(last)") }
            let ledger = try Ledger.open(
                directory: settings.directory, name: "hub.ledger", firstSequence: 0, logger: quiet)
            try ledger.update(LedgerState(floor: UInt64(records.count - 1)))
            ledger.close()
            let spool = try openSpool(settings)
            #expect(try readAll(spool) == records.filter { $0.id < first }, "\(change)")
            #expect(spool.statistics().nextSequence == UInt64(records.count - 1))
            try spool.append(batch(["new"]))
            #expect(spool.flush())
            #expect(try readAll(spool).last == ReadRecord(id: UInt64(records.count - 1), body: Array("new".utf8)))
            spool.close()
        }
    }

    @Test func damageWhileRunningIsSkippedCountedOnceAndCopied() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 64 << 10)
        let spool = try openSpool(settings)
        for number in 0..<20 { try spool.append(batch(["record \(number)", "second"])) }
        #expect(spool.flush())
        let places = try framePlaces(settings.directory)
        let victim = try #require(places.first { $0.header.firstSequence == 10 && $0.header.kind == .records })
        let path = "\(settings.directory)/\(victim.file)"
        let file = try SpoolFile(path, .readWrite, on: SystemDisk())
        try file.write([0xAA], at: victim.range.upperBound - 1)
        for _ in 0..<2 {
            let count = Int(victim.header.recordCount)
            #expect(try readAll(spool).count == 40 - count)
            #expect(spool.statistics().quarantinedRecords == UInt64(count))
            #expect(spool.statistics().quarantinedPlaces == 1)
        }
        let copies = names("\(settings.directory)/quarantine")
        #expect(copies.count == 1)
        let copy = readFile("\(settings.directory)/quarantine/\(copies[0])")
        #expect(copy.count == victim.header.length)
        #expect(Array(copy[..<victim.range.count]) == Array(readFile(path)[victim.range]))
    }

    /// Segments are read and written by calls, never through memory: no signal ends the process.
    @Test func aSegmentThatIsCutUnderTheReaderIsDamageAndNoSignal() throws {
        func body(_ number: UInt64) -> [UInt8] { [UInt8](repeating: UInt8(number), count: 3000) }
        for isLast in [false, true] {
            let directory = TemporaryDirectory()
            let settings = configuration(directory, segment: 64 << 10)
            let spool = try openSpool(settings)
            for number: UInt64 in 0..<60 { try spool.append(batch([body(number)])) }
            #expect(spool.flush())
            let early = try spool.reader(from: 0)
            #expect(try early.next()?.firstSequence == 0)
            let files = names(settings.directory, suffix: ".spool")
            let victim = try #require(isLast ? files.last : files.first)
            #expect(truncate("\(settings.directory)/\(victim)", 9000) == 0)
            // Whoever was reading goes on behind it, and so does writing.
            try spool.append(batch([body(60)]))
            #expect(spool.flush())
            var last: UInt64?
            while let frame = try early.next() { last = frame.firstSequence }
            #expect(last == 60)
            let found = try readAll(spool)
            #expect(found.allSatisfy { $0.body == body($0.id) })
            #expect(found.last?.id == 60)
            let lost = spool.statistics().quarantinedRecords
            #expect(lost > 0 && found.count + Int(lost) == 61)
            spool.close()
        }
    }

    @Test func unreadableSectorsCostOnlyTheirFrames() throws {
        let directory = TemporaryDirectory()
        var settings = configuration(directory, segment: 1 << 20, maximum: 16 << 20)
        var spool = try openSpool(settings)
        for number in 0..<40 { try spool.append(batch([[UInt8](repeating: UInt8(number), count: 3000)])) }
        spool.close()
        // Every read of more than a page fails, and so does one page.
        let reads = Gate.Counter()
        settings.environment.disk = FaultyDisk { operation, path in
            guard operation == .read, path.hasSuffix(".spool") else { return 0 }
            return reads.next() % 10 == 3 ? EIO : 0
        }
        spool = try openSpool(settings)
        let found = try readAll(spool)
        #expect(found.count + Int(spool.statistics().quarantinedRecords) == 40)
        #expect(found.count > 20)
        for record in found { #expect(record.body == [UInt8](repeating: UInt8(record.id), count: 3000)) }
    }
}
