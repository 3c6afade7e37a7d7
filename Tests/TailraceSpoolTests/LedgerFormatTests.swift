import Glibc
import TestSupport
import Testing

@testable import TailraceSpool

/// One slot of a ledger, written from the specification.
private func slot(version: UInt8, keyKind: UInt8 = 0, revision: UInt64, _ partitions: (inout ByHand) -> Void) -> [UInt8]
{
    var body = ByHand()
    body.add(version)
    body.add(keyKind)
    body.bytes += [UInt8](repeating: 0, count: 6)
    body.add(revision)
    body.add(UInt64(1000))
    body.add(UInt64(3))
    body.add(UInt32(2))
    body.add(UInt32(0))
    partitions(&body)
    var checked = ByHand()
    checked.add(UInt32(body.bytes.count))
    checked.bytes += body.bytes
    var slot = ByHand()
    slot.add("TRLEDGER")
    slot.add(ByHand.crc32c(checked.bytes))
    slot.bytes += checked.bytes
    return slot.bytes
}

/// Version 1: partitions of 16 bytes.
private func oldSlot(revision: UInt64) -> [UInt8] {
    slot(version: 1, revision: revision) { body in
        for partition in 0..<2 {
            body.add(UInt64(1000 + partition) + revision)
            body.add(Int64(-1 - partition))
        }
    }
}

/// Version 2: partitions of 32 bytes, the second one with a producer.
private func newSlot(revision: UInt64) -> [UInt8] {
    slot(version: 2, keyKind: 2, revision: revision) { body in
        body.add(UInt64(1000))
        body.add(Int64(-1))
        body.bytes += [UInt8](repeating: 0, count: 16)
        body.add(UInt64(1007))
        body.add(Int64(Int32.max))
        body.add(Int64(-0x0102_0304_0506_0708))
        body.add(Int16(-3))
        body.add(UInt8(1))
        body.bytes += [UInt8](repeating: 0, count: 5)
    }
}

private func file(_ slots: [[UInt8]], slotSize: Int) -> [UInt8] {
    slots.flatMap { $0 + [UInt8](repeating: 0, count: slotSize - $0.count) }
}

private func oldState(revision: UInt64) -> LedgerState {
    LedgerState(
        floor: 1000, generation: 3, keyKind: .unknown,
        partitions: [
            .init(acknowledged: 1000 + revision, serviceNumber: -1),
            .init(acknowledged: 1001 + revision, serviceNumber: -2),
        ])
}

@Suite struct LedgerFormatTests {
    private static let newState = LedgerState(
        floor: 1000, generation: 3, keyKind: .source,
        partitions: [
            .init(acknowledged: 1000),
            .init(
                acknowledged: 1007, serviceNumber: Int64(Int32.max),
                producer: .init(groupID: -0x0102_0304_0506_0708, ownerLevel: -3)),
        ])

    private func open(_ directory: TemporaryDirectory, disk: any Disk = SystemDisk()) throws -> Ledger {
        try Ledger.open(
            directory: directory.path, name: "x.ledger", firstSequence: 0, environment: SpoolEnvironment(disk: disk),
            logger: quiet)
    }

    @Test func aLedgerWrittenFromTheSpecificationIsRead() throws {
        let directory = TemporaryDirectory()
        let empty = [UInt8](repeating: 0, count: 128 << 10)
        writeFile(directory("x.ledger"), empty + newSlot(revision: 77))
        let ledger = try open(directory)
        #expect(ledger.origin == .read)
        #expect(ledger.state == Self.newState)
        #expect(LedgerFormat.encode(Self.newState, revision: 77) == newSlot(revision: 77))
    }

    @Test(arguments: [nil, 0, 1, UInt32.max]) func whatAServiceHasBeyondIsKept(_ found: UInt32?) {
        var state = Self.newState
        state.partitions[1].found = found
        let slot = LedgerFormat.encode(state, revision: 78)
        #expect(slot.withUnsafeBytes { LedgerFormat.decode($0) } == .state(state, revision: 78, version: 2))
    }

    /// The bytes of both versions as a file, for ever: whoever changes a format must leave these readable.
    @Test(arguments: [
        (
            1,
            "54524c4544474552050574bc48000000010000000000000007000000000000002a0000000000000003000000000000000200"
                + "0000000000002c00000000000000110000000000000030000000000000001200000000000000"
        ),
        (
            2,
            "54524c454447455255833cf068000000020100000000000007000000000000002a0000000000000003000000000000000200"
                + "0000000000002c000000000000001100000000000000f1debc9a785634120500010000000000300000000000000012000000"
                + "0000000000000000000000000000000000000000"
        ),
    ])
    func aLedgerOfEachVersionThatIsKeptHereIsRead(version: Int, text: String) throws {
        let digits = text.map { UInt8($0.hexDigitValue ?? 0) }
        let bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        let directory = TemporaryDirectory()
        writeFile(directory("x.ledger"), bytes)
        let state = try open(directory).state
        #expect(state.floor == 42 && state.generation == 3)
        #expect(state.keyKind == (version == 1 ? .unknown : .host))
        #expect(state.partitions.map(\.acknowledged) == [44, 48])
        #expect(state.partitions.map(\.serviceNumber) == [17, 18])
        #expect(
            state.partitions.map(\.producer)
                == [version == 1 ? nil : .init(groupID: 0x1234_5678_9ABC_DEF1, ownerLevel: 5), nil])
    }

    @Test func aLedgerOfVersion1IsReplacedByOneOfVersion2() throws {
        let directory = TemporaryDirectory()
        for newest in 0..<3 {
            let slots = (0..<3).map { oldSlot(revision: $0 == newest ? 9 : UInt64($0)) }
            writeFile(directory("x.ledger"), file(slots, slotSize: 64 << 10))
            let ledger = try open(directory)
            #expect(ledger.origin == .read)
            #expect(ledger.state == oldState(revision: 9))
            ledger.close()
            let upgraded = readFile(directory("x.ledger"))
            #expect(upgraded.count == LedgerFormat.fileSize && upgraded[16] == 2)
            #expect(try directoryNames(directory) == ["x.ledger"])
            let again = try open(directory)
            #expect(again.state == oldState(revision: 9))
            // What comes next outranks what was taken over.
            try again.update(Self.newState)
            again.close()
            #expect(try open(directory).state == Self.newState)
        }
    }

    /// A kill between any two calls of the upgrade leaves what a failure of the second one leaves.
    @Test func whereverAnUpgradeIsInterruptedOneWholeLedgerIsLeft() throws {
        let old = file([oldSlot(revision: 4), oldSlot(revision: 5)], slotSize: 64 << 10)
        var step = 0
        var isInterrupted = true
        while isInterrupted {
            let directory = TemporaryDirectory()
            writeFile(directory("x.ledger"), old)
            let faults = Faults()
            let failing = step
            faults.set { call, _, _ in call == failing ? EIO : 0 }
            do {
                try open(directory, disk: FaultyDisk(faults.hook)).close()
                isInterrupted = false
            } catch {
                #expect("\(error)".contains("x.ledger") || "\(error)".contains(directory.path))
            }
            // Whoever only looks finds it, and so does the next start.
            #expect(
                try LedgerFormat.state(in: SpoolDirectory(path: directory.path), "x.ledger") == oldState(revision: 5))
            let next = try open(directory)
            #expect(next.origin == .read && next.state == oldState(revision: 5), "step \(step)")
            next.close()
            #expect(try directoryNames(directory) == ["x.ledger"], "step \(step)")
            step += 1
        }
        // Reading, making, reserving, writing, syncing, renaming, syncing the directory.
        #expect(step > 8)
    }

    @Test func aDamagedSlotOfVersion1LeavesAnOlderStateAndNeverAWrongOne() throws {
        let directory = TemporaryDirectory()
        let path = directory("x.ledger")
        let bytes = file((1...3).map { oldSlot(revision: UInt64($0)) }, slotSize: 64 << 10)
        for slot in 0..<3 {
            for offset in 0..<(56 + 2 * 16) {
                for isCut in [false, true] {
                    let at = slot * (64 << 10) + offset
                    var damaged = bytes
                    if isCut { damaged.removeSubrange(at...) } else { damaged[at] ^= 0x40 }
                    writeFile(path, damaged)
                    let contents = try LedgerFormat.read(try SpoolFile(path, .read, on: SystemDisk()))
                    let expected: UInt64 = isCut ? UInt64(slot) : (slot == 2 ? 2 : 3)
                    #expect(
                        contents.state == (expected == 0 ? nil : oldState(revision: expected)),
                        "byte \(at), cut: \(isCut)")
                }
            }
        }
    }

    @Test func aLedgerOfVersion1WithoutAWholeSlotBeginsAnewAndIsKept() throws {
        let directory = TemporaryDirectory()
        var bytes = file((1...3).map { oldSlot(revision: UInt64($0)) }, slotSize: 64 << 10)
        for slot in 0..<3 { bytes[slot * (64 << 10) + 40] ^= 1 }
        writeFile(directory("x.ledger"), bytes)
        let ledger = try open(directory)
        #expect(ledger.origin == .rebuilt(kept: "1.x.ledger.damaged"))
        #expect(readFile(directory("1.x.ledger.damaged")) == bytes)
    }

    @Test func theLargestLedgerFitsItsSlots() throws {
        let directory = TemporaryDirectory()
        let state = LedgerState(
            floor: 1, keyKind: .host,
            partitions: (0..<LedgerFormat.maximumPartitions).map {
                .init(
                    acknowledged: UInt64($0), serviceNumber: Int64($0),
                    producer: .init(groupID: Int64($0), ownerLevel: 1))
            })
        #expect(LedgerFormat.encode(state, revision: 1).count <= LedgerFormat.slotSize)
        let ledger = try open(directory)
        // Every slot is used, and none reaches into its neighbour.
        for round: UInt64 in 1...6 {
            var changed = state
            changed.floor = round
            try ledger.update(changed)
            #expect(ledger.flush())
            let contents = try LedgerFormat.read(try SpoolFile(directory("x.ledger"), .read, on: SystemDisk()))
            #expect(contents.state == changed && contents.damagedSlots == 0)
        }
    }

    @Test func aHalfMadeLedgerDoesNotDisturbARecovery() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        let spool = try openSpool(settings)
        try spool.append(batch(["one"]))
        #expect(spool.flush())
        spool.close()
        writeFile("\(settings.directory)/x.ledger.new", [1, 2, 3])
        let again = try openSpool(settings)
        #expect(again.recovery.isClean && again.recovery.foreignFiles.isEmpty)
        again.close()
    }

    private func directoryNames(_ directory: TemporaryDirectory) throws -> [String] {
        try SpoolDirectory(path: directory.path).names().sorted()
    }
}
