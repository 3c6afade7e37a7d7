import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

@Suite struct RecoveryTests {
    @Test func aTornTailIsCutAtEveryByteAndNoIdIsUsedTwice() throws {
        let directory = TemporaryDirectory()
        let settings = unsynced(configuration(directory, segment: 8 << 10))
        var spool = try openSpool(settings)
        for number in 0..<6 {
            try spool.append(batch(["first \(number)", "second \(number)"], position: "\(number)"))
            #expect(spool.flush())
        }
        let all = try readAll(spool)
        spool.abandon()
        let places = try framePlaces(settings.directory).filter { $0.header.kind == .records }
        let snapshot = Snapshot(settings.directory)
        for cut in places[3].range.lowerBound...(places[5].range.upperBound + FrameHeader.size) {
            for isZeroed in cut % 3 == 0 ? [false, true] : [false] {
                snapshot.restore(to: settings.directory, changing: places[0].file) { bytes in
                    if isZeroed {
                        for index in cut..<bytes.count { bytes[index] = 0 }
                    } else {
                        bytes.removeSubrange(cut...)
                    }
                }
                let what: Comment = "cut at \(cut), zeroed: \(isZeroed)"
                // A body that ends in zeros is whole although its end was zeroed: none does here.
                let whole = places.filter { $0.range.upperBound <= cut }
                let kept = UInt64(whole.count * 2)
                // Whoever's header is whole has claimed its ids.
                let claimed = UInt64(places.filter { $0.range.lowerBound + FrameHeader.size <= cut }.count * 2)
                spool = try openSpool(settings)
                #expect(try readAll(spool) == Array(all[..<Int(kept)]), what)
                #expect(spool.statistics().nextSequence == claimed, what)
                #expect(spool.recovery.cutRecords == claimed - kept, what)
                #expect(spool.statistics().quarantinedRecords == 0, what)
                #expect(spool.positions()[key("source")] == Array("\(whole.count - 1)".utf8), what)
                try spool.append(batch(["new"], position: "new"))
                #expect(spool.flush())
                spool.abandon()
                spool = try openSpool(settings)
                let expected = Array(all[..<Int(kept)]) + [ReadRecord(id: claimed, body: Array("new".utf8))]
                #expect(try readAll(spool) == expected, what)
                // The ids that were passed over are not taken for lost.
                #expect(spool.statistics().quarantinedRecords == 0, what)
                #expect(spool.recovery.isClean, what)
                spool.close()
            }
        }
    }

    /// The files of a spool whose last group, of three frames, is written but not synced.
    private func unsyncedGroup(_ directory: TemporaryDirectory) throws -> (SpoolConfiguration, Snapshot) {
        let gate = Gate()
        var settings = configuration(directory, segment: 16 << 10)
        settings.environment.disk = FaultyDisk { operation, path in
            if operation == .sync, path.hasSuffix(".spool") { gate.pass() }
            return 0
        }
        let spool = try openSpool(settings)
        try spool.append(batch(["durable"], source: "a", position: "1"))
        #expect(spool.flush())
        gate.close()
        defer { gate.open() }
        try spool.append(batch(["held"], source: "b", position: "1"))
        gate.awaitVisitor()
        for number in 2...4 { try spool.append(batch(["unsynced \(number)"], source: "a", position: "\(number)")) }
        gate.open()
        #expect(spool.flush())
        // Written and synced by now, but without the commit frame it looks as it did before the sync.
        spool.abandon()
        let places = try framePlaces(settings.directory)
        let marker = try #require(places.last)
        #expect(marker.header.kind == .commit)
        let path = "\(settings.directory)/\(marker.file)"
        var bytes = readFile(path)
        for index in marker.range { bytes[index] = 0 }
        writeFile(path, bytes)
        settings.environment.disk = SystemDisk()
        return (settings, Snapshot(settings.directory))
    }

    @Test func aHoleInAGroupThatWasBeingSyncedCutsTheRestSoThatPositionsDoNotPassIt() throws {
        let directory = TemporaryDirectory()
        let (settings, snapshot) = try unsyncedGroup(directory)
        let places = try framePlaces(settings.directory).filter { $0.header.kind == .records }
        #expect(places.map(\.header.firstSequence) == [0, 1, 2, 3, 4])
        #expect(places.map(\.header.committed) == [0, 1, 2, 2, 2])
        // Without damage everything counts.
        var spool = try openSpool(settings)
        #expect(try readAll(spool).count == 5)
        spool.close()
        // With the first or second frame of the group torn, it and what follows does not.
        for torn in [2, 3] {
            snapshot.restore(to: settings.directory, changing: places[0].file) {
                $0[places[torn].range.upperBound - 1] ^= 1
            }
            spool = try openSpool(settings)
            #expect(try readAll(spool).count == torn)
            #expect(spool.recovery.cutRecords == UInt64(5 - torn))
            #expect(spool.recovery.lostRecords == 0)
            #expect(spool.positions()[key("a")] == Array(torn == 2 ? "1".utf8 : "2".utf8))
            #expect(spool.statistics().nextSequence == 5)
            #expect(names("\(settings.directory)/quarantine").count == 1)
            spool.close()
        }
        // Damage to what was durable before is loss, and takes nothing else along.
        snapshot.restore(to: settings.directory, changing: places[0].file) { $0[places[1].range.upperBound - 1] ^= 1 }
        spool = try openSpool(settings)
        #expect(try readAll(spool).map(\.id) == [0, 2, 3, 4])
        #expect(spool.recovery.lostRecords == 1)
        #expect(spool.statistics().quarantinedRecords == 1)
    }

    @Test func staleFramesInARecycledSegmentDoNotPassForFrames() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 8 << 10)
        var spool = try openSpool(settings)
        var sent: UInt64 = 0
        while spool.statistics().segmentsRecycled < 4 || spool.statistics().spares > 0 || sent % 7 != 0 {
            try spool.append(batch(["record \(sent) " + String(repeating: "z", count: 200)], position: "\(sent)"))
            sent += 1
            #expect(spool.flush())
            if sent % 7 == 0 { spool.release(below: sent - 1) }
        }
        let first = spool.statistics().firstSequence
        spool.abandon()
        // The last segment is full of whole frames of an earlier life.
        let last = try #require(names(settings.directory, suffix: ".spool").last)
        let bytes = readFile("\(settings.directory)/\(last)")
        var generations: Set<UInt64> = []
        bytes.withUnsafeBytes { bytes in
            for at in stride(from: 64, to: bytes.count - FrameHeader.size, by: 8) {
                if let header = FrameHeader(decoding: bytes.baseAddress! + at) { generations.insert(header.generation) }
            }
        }
        #expect(generations.count > 1)
        spool = try openSpool(settings)
        #expect(try readAll(spool).map(\.id) == Array(first..<sent))
        #expect(spool.recovery.isClean)
        #expect(spool.positions()[key("source")] == Array("\(sent - 1)".utf8))
        #expect(names(settings.directory, suffix: ".spare").isEmpty)
    }

    @Test func aNewerVersionIsRefusedAndNothingIsChanged() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 8 << 10)
        let (_, _, _) = try DamageTests.threeSegments(directory)
        let file = names(settings.directory, suffix: ".spool")[1]
        let path = "\(settings.directory)/\(file)"
        var bytes = readFile(path)
        bytes[8] = 2
        bytes.withUnsafeMutableBytes {
            $0.baseAddress!.store(checksum(of: UnsafeRawBufferPointer(rebasing: $0[..<60])), at: 60)
        }
        writeFile(path, bytes)
        let before = Snapshot(settings.directory)
        #expect(throws: SpoolError.newerVersion(path: path, version: 2)) { try openSpool(settings) }
        let after = Snapshot(settings.directory)
        #expect(before.files.map(\.name) == after.files.map(\.name))
        for (before, after) in zip(before.files, after.files) where before.name != "lock" {
            #expect(before.bytes == after.bytes, "\(before.name)")
        }
    }

    @Test func foreignFilesAreReportedAndLeftAlone() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        mkdir(settings.directory, 0o700)
        for name in ["notes.txt", "7.spool", "000000000000000000x1.spool"] {
            writeFile("\(settings.directory)/\(name)", [1, 2, 3])
        }
        // Begun, and one that was never written to.
        writeFile("\(settings.directory)/\(SegmentName.new(9))", Array("TRSP".utf8))
        writeFile("\(settings.directory)/\(SegmentName.spare(8))", [0, 0, 0, 0, 0, 0, 0, 0, 1])
        // Whatever it is called.
        writeFile("\(settings.directory)/\(SegmentName.spare(7))", Array("my precious".utf8))
        let spool = try openSpool(settings)
        #expect(
            spool.recovery.foreignFiles.sorted() == [
                SegmentName.spare(7), "000000000000000000x1.spool", "7.spool", "notes.txt",
            ])
        #expect(spool.recovery.removedLeftovers == 2)
        #expect(names(settings.directory, suffix: ".new").isEmpty)
        #expect(names(settings.directory, suffix: ".spare") == [SegmentName.spare(7)])
        try spool.append(batch(["x"]))
        #expect(spool.flush())
        spool.close()
        #expect(readFile("\(settings.directory)/notes.txt") == [1, 2, 3])
    }

    @Test func reopeningManyTimesNeitherGrowsNorLosesAnything() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 64 << 10, maximum: 1 << 20)
        for round in 0..<60 {
            let spool = try openSpool(settings)
            #expect(spool.recovery.isClean)
            #expect(spool.statistics().nextSequence == UInt64((round + 1) / 2))
            if round % 2 == 0 { try spool.append(batch(["round \(round)"])) }
            if round % 3 == 0 { spool.close() } else { #expect(spool.flush()); spool.abandon() }
        }
        let spool = try openSpool(settings)
        #expect(try readAll(spool).count == 30)
        #expect(spool.statistics().bytesOnDisk < 200 << 10)
        spool.release(below: 30)
        try spool.append(batch(["last"]))
        #expect(spool.flush())
        #expect(spool.statistics().segments == 1)
    }

    @Test func onlyTheLastSegmentIsReadAtTheStart() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory, segment: 8 << 10)
        let (_, records, positions) = try DamageTests.threeSegments(directory)
        let spool = try openSpool(settings)
        #expect(spool.recovery.segments == 3)
        #expect(spool.recovery.segmentsScanned == 1)
        #expect(spool.positions() == positions)
        #expect(spool.recovery.nextSequence == UInt64(records.count))
    }

    /// Who made the directory may have ended before that was durable, and then nothing in it is.
    @Test func theDirectorysNameIsMadeDurableAlsoWhenItIsThere() throws {
        let directory = TemporaryDirectory()
        var settings = configuration(directory)
        mkdir(settings.directory, 0o700)
        let synced = Mutex<[String]>([])
        settings.environment.disk = FaultyDisk { operation, path in
            if operation == .syncDirectory { synced.withLock { $0.append(path) } }
            return 0
        }
        try openSpool(settings).close()
        #expect(synced.withLock { $0 }.first == "\(settings.directory)/..")
    }

    /// A segment that an earlier process began, and removed when the directory could not be synced, may come back in a power
    /// cut: so the directory is synced before any record of the page cache counts.
    @Test func theDirectoryIsDurableBeforeRecordsOfTheLastProcessAre() throws {
        let directory = TemporaryDirectory()
        var settings = configuration(directory)
        settings.sync = .interval(.seconds(3600))
        var spool = try openSpool(settings)
        try spool.append(batch(["a", "b"]))
        while spool.statistics().queuedBatches > 0 { usleep(500) }
        spool.abandon()
        let calls = Mutex<[SpoolFileOperation]>([])
        let path = settings.directory
        settings.environment.disk = FaultyDisk { operation, file in
            let isOfSpool = operation == .syncDirectory ? file == path : file.hasSuffix(".spool")
            if isOfSpool, [.sync, .syncDirectory].contains(operation) { calls.withLock { $0.append(operation) } }
            return 0
        }
        spool = try openSpool(settings)
        #expect(calls.withLock { $0.prefix(2) } == [.syncDirectory, .sync])
        spool.close()
    }

    /// What a kill left in the page cache is written again piece by piece, not with all of it in memory at once.
    @Test func recordsThatWereNeverSyncedAreMadeDurableInPieces() throws {
        let directory = TemporaryDirectory()
        var settings = configuration(directory, segment: 4 << 20, maximum: 64 << 20)
        settings.sync = .interval(.seconds(3600))
        settings.unsyncedByteLimit = 64 << 20
        settings.groupByteLimit = 1
        let isSynced = Atomic<Bool>(false)
        func disk() -> FaultyDisk {
            FaultyDisk { operation, path in
                if operation == .sync, path.hasSuffix(".spool") { isSynced.store(true, ordering: .relaxed) }
                return 0
            }
        }
        settings.environment.disk = disk()
        var spool = try openSpool(settings)
        let bodies = (0..<30).map { [UInt8](repeating: $0, count: 100_000) }
        for body in bodies { try spool.append(batch([body])) }
        while spool.statistics().queuedBatches > 0 { usleep(500) }
        spool.abandon()
        let wasSynced = isSynced.load(ordering: .relaxed)
        let next = disk()
        settings.environment.disk = next
        spool = try openSpool(settings)
        #expect([wasSynced, isSynced.load(ordering: .relaxed)] == [false, true])
        let records = try readAll(spool).map(\.body)
        // The last one may not have been written before the end.
        #expect(records.count >= 29 && records == Array(bodies.prefix(records.count)))
        #expect(next.largestTransfer <= Recovery.maximumPiece)
        spool.close()
    }

    @Test func mutatedSegmentsNeverTrapAndNeverYieldAWrongRecord() throws {
        let directory = TemporaryDirectory()
        let settings = unsynced(configuration(directory, segment: 8 << 10))
        let (snapshot, records, _) = try DamageTests.threeSegments(directory)
        let files = names(settings.directory, suffix: ".spool")
        for (seed, rounds) in [(1, 40), (2, 40), (0, 40)] {
            var generator =
                seed == 0
                ? SeededGenerator.fresh("mutatedSegments") : SeededGenerator(seed: UInt64(seed))
            for round in 0..<rounds {
                snapshot.restore(to: settings.directory)
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let path = "\(settings.directory)/\(files.randomElement(using: &generator)!)"
                    writeFile(path, generator.mutate(readFile(path)))
                }
                let spool = try openSpool(settings)
                let found = try readAll(spool)
                var previous: UInt64?
                for record in found {
                    #expect(record == records[Int(record.id)], "seed \(generator.seed) round \(round)")
                    if let previous { #expect(record.id > previous, "seed \(generator.seed) round \(round)") }
                    previous = record.id
                }
                let next = spool.statistics().nextSequence
                #expect(next >= found.last.map { $0.id + 1 } ?? 0)
                try spool.append(batch(["after"]))
                #expect(spool.flush())
                spool.close()
                let again = try openSpool(settings)
                #expect(
                    try readAll(again) == found + [ReadRecord(id: next, body: Array("after".utf8))],
                    "seed \(generator.seed) round \(round)")
                again.close()
            }
        }
    }
}
