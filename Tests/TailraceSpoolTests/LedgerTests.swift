import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

@Suite struct LedgerTests {
    private func open(
        _ directory: TemporaryDirectory, first: UInt64 = 5, disk: any Disk = SystemDisk()
    ) throws -> Ledger {
        try Ledger.open(
            directory: directory.path, name: "hub.ledger", firstSequence: first, syncInterval: .milliseconds(1),
            environment: SpoolEnvironment(disk: disk), logger: quiet)
    }

    private func state(_ number: UInt64) -> LedgerState {
        LedgerState(
            floor: number, generation: number % 3, keyKind: number % 2 == 0 ? .host : .source,
            partitions: (0..<4).map {
                .init(
                    acknowledged: number + $0, serviceNumber: Int64(number) - 100,
                    producer: $0 == 0 ? nil : .init(groupID: -Int64(number) << 33, ownerLevel: Int16($0) - 2))
            })
    }

    @Test func theLastUpdateSurvivesReopening() throws {
        let directory = TemporaryDirectory()
        var ledger = try open(directory)
        #expect(ledger.origin == .created)
        #expect(ledger.state == LedgerState(floor: 5))
        for round: UInt64 in 0..<5 {
            for number in 0..<50 { try ledger.update(state(round * 100 + UInt64(number))) }
            // Without a flush: the page cache has it.
            let copy = readFile(directory("hub.ledger"))
            #expect(copy.count == LedgerFormat.fileSize)
            ledger.close()
            ledger = try open(directory)
            #expect(ledger.origin == .read)
            #expect(ledger.state == state(round * 100 + 49))
        }
        #expect(throws: SpoolError.self) {
            try ledger.update(
                LedgerState(
                    floor: 0, partitions: Array(repeating: .init(acknowledged: 0), count: 4001)))
        }
    }

    @Test func anUpdateIsInTheFileWhenItReturns() throws {
        let directory = TemporaryDirectory()
        let ledger = try open(directory)
        for number: UInt64 in 0..<100 {
            try ledger.update(state(number))
            let file = try SpoolFile(directory("hub.ledger"), .read, on: SystemDisk())
            #expect(try LedgerFormat.read(file).state == state(number))
        }
        #expect(ledger.flush())
    }

    @Test func aDamagedSlotLeavesAnOlderStateAndNeverAWrongOne() throws {
        let directory = TemporaryDirectory()
        let path = directory("hub.ledger")
        let ledger = try open(directory)
        for number: UInt64 in 1...4 {
            try ledger.update(state(number))
            #expect(ledger.flush())
        }
        ledger.close()
        let bytes = readFile(path)
        let known = [LedgerState(floor: 5)] + (1...4).map { state($0) }
        for slot in 0..<LedgerFormat.slotCount {
            for offset in 0..<(56 + 4 * 32) {
                for isCut in [false, true] {
                    let at = slot * LedgerFormat.slotSize + offset
                    var damaged = bytes
                    if isCut { damaged.removeSubrange(at...) } else { damaged[at] ^= 0x40 }
                    writeFile(path, damaged)
                    let file = try SpoolFile(path, .read, on: SystemDisk())
                    let contents = try LedgerFormat.read(file)
                    if let found = contents.state {
                        #expect(known.contains(found), "byte \(at), cut: \(isCut)")
                    } else {
                        #expect(isCut && slot == 0, "byte \(at)")
                    }
                }
            }
        }
    }

    @Test func whenNoSlotIsWholeItBeginsAnewAtTheSpoolsFirstRecordAndKeepsTheOldFile() throws {
        let directory = TemporaryDirectory()
        let path = directory("hub.ledger")
        let ledger = try open(directory)
        for number: UInt64 in 1...4 {
            try ledger.update(state(number))
            #expect(ledger.flush())
        }
        ledger.close()
        var bytes = readFile(path)
        for slot in 0..<LedgerFormat.slotCount { bytes[slot * LedgerFormat.slotSize + 40] ^= 1 }
        for round in 1...2 {
            writeFile(path, bytes)
            let rebuilt = try open(directory, first: 17)
            #expect(rebuilt.origin == .rebuilt(kept: "\(round).hub.ledger.damaged"))
            #expect(rebuilt.state == LedgerState(floor: 17))
            #expect(readFile(directory("\(round).hub.ledger.damaged")) == bytes)
            try rebuilt.update(state(20))
            rebuilt.close()
            let again = try open(directory)
            #expect(again.state == state(20))
            again.close()
        }
    }

    @Test func aNewerVersionIsRefused() throws {
        let directory = TemporaryDirectory()
        try open(directory).close()
        var bytes = readFile(directory("hub.ledger"))
        bytes[16] = 3
        bytes.withUnsafeMutableBytes {
            let length = Int($0.baseAddress!.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
            $0.baseAddress!.store(checksum(of: UnsafeRawBufferPointer(rebasing: $0[12..<(16 + length)])), at: 8)
        }
        writeFile(directory("hub.ledger"), bytes)
        #expect(throws: SpoolError.newerVersion(path: directory("hub.ledger"), version: 3)) { try open(directory) }
        #expect(readFile(directory("hub.ledger")) == bytes)
    }

    @Test func aFailedSyncIsAnsweredByWritingTheStateAgainElsewhere() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        let ledger = try open(directory, disk: FaultyDisk(faults.hook))
        try ledger.update(state(1))
        #expect(ledger.flush())
        faults.set { _, operation, _ in operation == .sync ? EIO : 0 }
        try ledger.update(state(2))
        while ledger.failures == 0 { usleep(500) }
        faults.clear()
        #expect(ledger.flush())
        ledger.close()
        // Two slots hold the second state: the one whose sync failed, and the one that replaced it.
        let again = try open(directory)
        #expect(again.state == state(2))
        again.close()
    }

    @Test func aFailedWriteIsToldAndTheStateGoesOutLater() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        let ledger = try open(directory, disk: FaultyDisk(faults.hook))
        faults.set { _, operation, _ in operation == .write ? ENOSPC : 0 }
        #expect(throws: SpoolError.self) { try ledger.update(state(2)) }
        #expect(ledger.state == state(2))
        faults.clear()
        #expect(ledger.flush())
        ledger.close()
        #expect(try open(directory).state == state(2))
    }

    /// What the disk holds after a power cut at any moment: for each slot what was there at the last sync that came
    /// back, or anything newer, or a mixture.
    /// A kill leaves the newest state in the page cache alone, for good if a sync failed before: taken for one that is on the
    /// disk, it would let the next update go over the one good copy.
    @Test func whatAnOpenedLedgerKnowsIsOnTheDisk() throws {
        let directory = TemporaryDirectory()
        let calls = Mutex<[SpoolFileOperation]>([])
        let disk = FaultyDisk { operation, path in
            if path.hasSuffix("hub.ledger") { calls.withLock { $0.append(operation) } }
            return 0
        }
        var ledger = try open(directory)
        try ledger.update(state(7))
        ledger.close()
        ledger = try open(directory, disk: disk)
        #expect(ledger.state == state(7))
        let made = calls.withLock { $0 }
        // Written again, because the kernel takes what a failed sync left behind for clean.
        let write = try #require(made.firstIndex(of: .write))
        #expect(made[write...].contains(.sync))
        ledger.close()
    }

    /// What is below that floor may be given up: a power cut must not bring a lower one back.
    @Test func onlyAFloorThatIsOnTheDiskIsTold() throws {
        let directory = TemporaryDirectory()
        let isFailing = Atomic<Bool>(false)
        let syncs = Atomic<Int>(0)
        let disk = FaultyDisk { operation, path in
            guard operation == .sync, path.hasSuffix("hub.ledger"), isFailing.load(ordering: .relaxed) else { return 0 }
            syncs.add(1, ordering: .relaxed)
            return EIO
        }
        let ledger = try open(directory, disk: disk)
        let told = Mutex<[UInt64]>([])
        ledger.tellDurable { floor in told.withLock { $0.append(floor) } }
        #expect(told.withLock { $0 } == [5])
        isFailing.store(true, ordering: .relaxed)
        try ledger.update(state(9))
        while syncs.load(ordering: .relaxed) == 0 { usleep(500) }
        #expect(told.withLock { $0 } == [5])
        isFailing.store(false, ordering: .relaxed)
        while told.withLock({ $0.count }) < 2 { usleep(500) }
        #expect(told.withLock { $0 } == [5, 9])
        ledger.close()
    }

    @Test func aPowerCutAtAnyMomentLeavesAtLeastTheLastSyncedState() throws {
        let directory = TemporaryDirectory()
        let path = directory("hub.ledger")
        let synced = Mutex<[UInt8]>([])
        let gate = Gate()
        // The hook runs before the sync: what is in the file then will be durable when the next sync begins.
        let disk = FaultyDisk { operation, _ in
            if operation == .sync { gate.pass() }
            return 0
        }
        let ledger = try open(directory, disk: disk)
        var generator = SeededGenerator.fresh("aPowerCut")
        for round: UInt64 in 1...30 {
            // Everything up to here is durable.
            try ledger.update(state(round * 10))
            #expect(ledger.flush())
            synced.withLock { $0 = readFile(path) }
            // A sync begins and hangs, with updates before and during it.
            gate.close()
            try ledger.update(state(round * 10 + 1))
            gate.awaitVisitor()
            for number: UInt64 in 2...5 { try ledger.update(state(round * 10 + number)) }
            let newest = readFile(path)
            let oldest = synced.withLock { $0 }
            // The power goes: each 512-byte sector is old or new, or garbage where both differ.
            var disk = oldest
            for sector in stride(from: 0, to: disk.count, by: 512) {
                if oldest[sector..<(sector + 512)] == newest[sector..<(sector + 512)] { continue }
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: break
                case 1: disk.replaceSubrange(sector..<(sector + 512), with: newest[sector..<(sector + 512)])
                default: for at in sector..<(sector + 512) { disk[at] = .random(in: 0 ... .max, using: &generator) }
                }
            }
            let crashed = directory("crashed.ledger")
            writeFile(crashed, disk)
            let found = try LedgerFormat.read(try SpoolFile(crashed, .read, on: SystemDisk())).state
            #expect((found?.floor ?? 0) >= round * 10, "seed \(generator.seed)")
            #expect((found?.floor ?? 0) <= round * 10 + 5)
            gate.open()
        }
        ledger.close()
    }
}
