import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// What a spool leaves free, and what it says when it cannot have what it needs.
@Suite struct SpaceTests {
    @Test func theReserveIsAsConfiguredOrATwentiethOfASmallFileSystem() {
        #expect(DiskSpace(total: 1 << 40, free: 0).reserve(nil) == 256 << 20)
        #expect(DiskSpace(total: 64 << 20, free: 0).reserve(nil) == (64 << 20) / 20)
        #expect(DiskSpace(total: 64 << 20, free: 0).reserve(1 << 30) == 1 << 30)
        let space = DiskSpace(total: 1000, free: 100)
        #expect(space.hasRoom(for: 90, minimumFree: 10))
        #expect(!space.hasRoom(for: 91, minimumFree: 10))
        #expect(!space.hasRoom(for: 0, minimumFree: 101))
        #expect(!space.hasRoom(for: .max, minimumFree: 1))
        #expect(space.hasRoom(for: .max, minimumFree: 0))
    }

    @Test func theLastOfTheSpaceIsLeftToOthersAndWritingGoesOnWhenThereIsMore() throws {
        let directory = TemporaryDirectory()
        let free = Atomic<UInt64>(0)
        var settings = configuration(directory)
        settings.minimumFree = 1 << 20
        settings.spareLimit = 1
        settings.environment.disk = FaultyDisk(free: { free.load(ordering: .relaxed) })
        free.store((1 << 20) + (16 << 10) - 1, ordering: .relaxed)
        let spool = try openSpool(settings)
        try spool.append(batch([[UInt8](repeating: 1, count: 10_000)]))
        var told: SpoolTrouble?
        while told == nil {
            told = spool.statistics().trouble
            usleep(500)
        }
        guard case .noSpace(let text) = told else {
            Issue.record("\(String(describing: told))")
            return
        }
        #expect(text.contains(settings.directory) && text.contains("1024 KiB") && text.contains("minimum_free"))
        #expect(diskUsage(settings.directory) == 0)
        #expect(spool.committed == 0)
        free.store((1 << 20) + (16 << 10), ordering: .relaxed)
        #expect(spool.flush())
        #expect(spool.committed == 1)
        #expect(spool.statistics().trouble == nil)
        // A segment that was released is used again without asking.
        try spool.append(batch([[UInt8](repeating: 2, count: 10_000)]))
        #expect(spool.flush())
        spool.release(below: 1)
        #expect(spool.flush())
        #expect(spool.statistics().spares == 1)
        free.store(0, ordering: .relaxed)
        try spool.append(batch([[UInt8](repeating: 3, count: 10_000)]))
        #expect(spool.flush())
        #expect(spool.statistics().trouble == nil)
        #expect(try readAll(spool).map(\.id) == [1, 2])
        spool.close()
    }

    /// Read-only for a while, as after an error of the file system, or a full quota: no restart is needed.
    @Test(arguments: [EROFS, EDQUOT, EACCES])
    func writingGoesOnWhenTheFileSystemTakesItAgain(_ code: CInt) throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory)
        settings.environment.disk = FaultyDisk(faults.hook)
        let spool = try openSpool(settings)
        try spool.append(batch(["before"], position: "1"))
        #expect(spool.flush())
        faults.set { call, operation, _ in call >= 0 && operation != .open ? code : 0 }
        try spool.append(batch(["meanwhile"], position: "2"))
        var text = ""
        while text.isEmpty {
            switch spool.statistics().trouble {
            case .noSpace(let message), .failing(let message): text = message
            default: usleep(500)
            }
        }
        // What, where, what to do.
        #expect(text.contains(settings.directory) && text.contains("; "), "\(text)")
        #expect(try readAll(spool).count == 1)
        faults.clear()
        #expect(spool.flush())
        #expect(try readAll(spool).map(\.id) == [0, 1])
        #expect(spool.statistics().trouble == nil)
        spool.close()
    }

    /// A file system may take other blocks for what is written than those that the file has.
    @Test func sparesAreGivenBackWhereAllocatedBlocksCannotBeWrittenWithoutSpace() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory)
        settings.spareLimit = 2
        settings.environment.disk = FaultyDisk(faults.hook)
        let path = settings.directory
        let spool = try openSpool(settings)
        for number in 0..<3 {
            try spool.append(batch([[UInt8](repeating: UInt8(number), count: 12_000)]))
            #expect(spool.flush())
        }
        spool.release(below: 2)
        #expect(spool.flush())
        #expect(spool.statistics().spares == 2)
        faults.set { _, operation, _ in
            var names: [String] = []
            _ = SystemDisk().list(path, into: &names)
            return operation == .write && names.contains { $0.hasSuffix(".spare") } ? EDQUOT : 0
        }
        try spool.append(batch(["the last"]))
        #expect(spool.flush())
        #expect(faults.fired == 1)
        #expect(spool.statistics().spares == 0 && spool.statistics().trouble == nil)
        #expect(try readAll(spool).map(\.id) == [2, 3])
        spool.close()
    }

    /// What lies in a spool can be sent when not a byte can be stored.
    @Test func aFullDiskKeepsNoSpoolFromBeingOpened() throws {
        let directory = TemporaryDirectory()
        let faults = Faults()
        var settings = configuration(directory)
        var spool = try openSpool(settings)
        try spool.append(batch(["stored"]))
        spool.close()
        settings.environment.disk = FaultyDisk(faults.hook)
        faults.set { _, operation, path in
            (operation == .write && path.hasSuffix("lock")) || operation == .preallocate ? ENOSPC : 0
        }
        spool = try openSpool(settings)
        #expect(faults.fired == 1)
        #expect(try readAll(spool).count == 1)
        spool.close()
    }

    /// Where the quarantine takes nothing, what is cut stays where it is.
    @Test func whatIsCutAndCannotBeCopiedIsNotThrownAway() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        var spool = try openSpool(settings)
        try spool.append(batch(["kept"]))
        #expect(spool.flush())
        spool.close()
        let last = try #require(try framePlaces(settings.directory).last { $0.header.kind == .records })
        let path = "\(settings.directory)/\(last.file)"
        // A frame whose payload did not arrive.
        var torn = FrameHeader(kind: .records, generation: 1, firstSequence: 1, committed: 1)
        torn.recordCount = 1
        torn.blockLength = 100
        var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
        bytes.withUnsafeMutableBytes { torn.encode(into: $0.baseAddress!) }
        let file = try SpoolFile(path, .readWrite, on: SystemDisk())
        try file.write(bytes, at: (last.range.upperBound + 7) & ~7)
        let before = readFile(path)
        writeFile("\(settings.directory)/quarantine", Array("in the way".utf8))
        spool = try openSpool(settings)
        #expect(spool.recovery.cutBytes > 0)
        #expect(try readAll(spool).count == 1)
        #expect(readFile(path) == before)
        #expect(spool.statistics().bytesOnDisk >= UInt64(before.count))
        try spool.append(batch(["next"]))
        #expect(spool.flush())
        #expect(try readAll(spool).map { String(decoding: $0.body, as: UTF8.self) } == ["kept", "next"])
        spool.close()
        // Once there is a quarantine, it goes there.
        unlink("\(settings.directory)/quarantine")
        spool = try openSpool(settings)
        #expect(try readAll(spool).count == 2)
        spool.close()
    }
}
