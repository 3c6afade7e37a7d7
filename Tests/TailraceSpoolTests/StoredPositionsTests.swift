import TestSupport
import Testing

@testable import TailraceSpool

/// Positions read without opening the spool.
@Suite struct StoredPositionsTests {
    private let directory = TemporaryDirectory()
    private var spoolPath: String { directory("spool") }

    private func stored() throws -> [String: String] {
        var result: [String: String] = [:]
        for (key, value) in try Spool.storedPositions(directory: spoolPath) {
            result[String(decoding: key.bytes, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
        }
        return result
    }

    @Test func theyAreThoseThatTheSpoolHasWhileItRunsAndAfter() throws {
        let spool = try openSpool(configuration(directory))
        // Several segments, so that most positions lie in checkpoints.
        for number in 0..<200 {
            let name = "s\(number % 20)"
            try spool.append(batch([[UInt8](repeating: 7, count: 900)], source: name, position: "at \(number)"))
            if number % 50 == 49 {
                #expect(spool.flush())
                #expect(try stored().count == 20)
                #expect(try stored()[name] == "at \(number)")
            }
        }
        #expect(spool.statistics().segments > 3)
        try spool.append(batch([] as [String], source: "s3", position: ""))
        spool.close()
        let before = Snapshot(spoolPath)
        let found = try stored()
        #expect(found.count == 19)
        #expect(found["s3"] == nil)
        #expect(found["s19"] == "at 199")
        let after = Snapshot(spoolPath)
        #expect(before.files.map(\.name) == after.files.map(\.name))
        #expect(zip(before.files, after.files).allSatisfy { $0.bytes == $1.bytes })
    }

    @Test func afterATornWriteTheyAreThoseOfTheNextStart() throws {
        let spool = try openSpool(configuration(directory))
        for number in 0..<20 {
            try spool.append(batch(["line \(number)"], source: "s\(number % 3)", position: "at \(number)"))
            #expect(spool.flush())
        }
        spool.abandon()
        let whole = Snapshot(spoolPath)
        guard let last = whole.files.last(where: { $0.name.hasSuffix(".spool") }) else { return }
        let end = last.bytes.lastIndex { $0 != 0 } ?? 0
        for cut in stride(from: end, to: max(0, end - 2000), by: -37) {
            whole.restore(to: spoolPath, changing: last.name) { bytes in
                for index in cut..<bytes.count { bytes[index] = 0 }
            }
            let found = try Spool.storedPositions(directory: spoolPath)
            let reopened = try openSpool(unsynced(configuration(directory)))
            #expect(found == reopened.positions(), "cut at \(cut)")
            reopened.abandon()
        }
    }

    @Test func aDirectoryWithoutSpoolHasNone() throws {
        #expect(throws: SpoolError.self) { try Spool.storedPositions(directory: directory("none")) }
        #expect(try Spool.storedPositions(directory: directory.path).isEmpty)
    }

    @Test func aNewerFormatIsToldNotRead() throws {
        let spool = try openSpool(configuration(directory))
        try spool.append(batch(["x"], position: "1"))
        spool.close()
        let name = try #require(names(spoolPath, suffix: ".spool").last)
        var bytes = readFile("\(spoolPath)/\(name)")
        bytes[8] = 99
        bytes.withUnsafeMutableBytes { raw in
            let sum = checksum(of: UnsafeRawBufferPointer(rebasing: raw[..<60]))
            raw.storeBytes(of: sum.littleEndian, toByteOffset: 60, as: UInt32.self)
        }
        writeFile("\(spoolPath)/\(name)", bytes)
        #expect(throws: SpoolError.newerVersion(path: "\(spoolPath)/\(name)", version: 99)) {
            try Spool.storedPositions(directory: spoolPath)
        }
    }
}
