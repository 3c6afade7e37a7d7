import Glibc
import TestSupport
import Testing

@testable import TailraceSpool

/// Every kind of file in a spool's directory, and every way in which it may not be what it should be: what is left is delivered,
/// or the file is named with what to do about it; nothing is thrown away.
@Suite struct BadInputTests {
    enum Kind: CaseIterable {
        case firstSegment, middleSegment, lastSegment, spare, halfMadeSegment
        case ledger, halfMadeLedger, keptLedger, lock, quarantine, copy
    }

    enum Case: CaseIterable {
        case missing, empty, torn, zero, newer, older, foreign, directory, link
    }

    /// Where it lies below the spool's directory.
    private static func name(_ kind: Kind, _ segments: [String]) -> String {
        switch kind {
        case .firstSegment: segments[0]
        case .middleSegment: segments[1]
        case .lastSegment: segments[2]
        case .spare: SegmentName.spare(90)
        case .halfMadeSegment: SegmentName.new(91)
        case .ledger: "hub.ledger"
        case .halfMadeLedger: "hub.ledger.new"
        case .keptLedger: "1.hub.ledger.damaged"
        case .lock: "lock"
        case .quarantine: "quarantine"
        case .copy: "quarantine/\(SegmentName.digits(1))-0.bytes"
        }
    }

    private static let precious = Array("somebody else's words, the only copy of them\n".utf8)

    /// Another version, as a whole file of that version would tell.
    private static func version(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        guard bytes.count >= SegmentHeader.size else { return [number] }
        let isLedger = Array(bytes[..<8]) == Array("TRLEDGER".utf8)
        bytes.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            base.store(number, at: isLedger ? 16 : 8)
            if isLedger {
                let end = 16 + Int(UnsafeRawPointer(base).load(at: 12, as: UInt32.self))
                base.store(checksum(of: UnsafeRawBufferPointer(rebasing: bytes[12..<end])), at: 8)
            } else {
                base.store(checksum(of: UnsafeRawBufferPointer(rebasing: bytes[..<60])), at: 60)
            }
        }
        return bytes
    }

    /// Puts the case in the place of `path`; returns the bytes that must not get lost.
    private static func arrange(_ what: Case, at path: String, beside: String) -> [UInt8]? {
        let old = readFile(path)
        if what != .missing, what != .directory || names(path).isEmpty { unlink(path) }
        switch what {
        case .missing:
            for name in names(path) { unlink("\(path)/\(name)") }
            if unlink(path) != 0 { rmdir(path) }
            return nil
        case .empty: writeFile(path, [])
        case .torn: writeFile(path, Array(old.prefix(old.count / 2)))
        case .zero: writeFile(path, [UInt8](repeating: 0, count: old.count))
        case .newer: writeFile(path, version(9, old))
        case .older: writeFile(path, version(0, old))
        case .foreign:
            writeFile(path, precious)
            return precious
        case .directory:
            mkdir(path, 0o700)
            writeFile("\(path)/precious", precious)
            return precious
        case .link:
            writeFile(beside, precious)
            symlink(beside, path)
            return precious
        }
        return nil
    }

    /// The bytes of all files in it.
    private static func contents(_ path: String) -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for name in names(path) {
            var status = stat()
            lstat("\(path)/\(name)", &status)
            if status.st_mode & S_IFMT == S_IFDIR {
                for (below, bytes) in contents("\(path)/\(name)") { found["\(name)/\(below)"] = bytes }
            } else {
                found[name] = readFile("\(path)/\(name)")
            }
        }
        return found
    }

    @Test(arguments: Kind.allCases, Case.allCases)
    func whateverAFileIsWhatIsLeftIsDeliveredOrItIsNamed(_ kind: Kind, _ what: Case) throws {
        let directory = TemporaryDirectory()
        let settings = unsynced(configuration(directory, segment: 8 << 10))
        let (_, records, _) = try DamageTests.threeSegments(directory)
        let segments = names(settings.directory, suffix: ".spool")
        #expect(segments.count == 3)
        let places = try framePlaces(settings.directory)
        // What only lies there at times.
        writeFile(
            "\(settings.directory)/\(Self.name(.spare, segments))", readFile("\(settings.directory)/\(segments[0])"))
        writeFile("\(settings.directory)/\(Self.name(.halfMadeSegment, segments))", Array("TRSPOOL\n".utf8))
        writeFile(
            "\(settings.directory)/\(Self.name(.halfMadeLedger, segments))",
            LedgerFormat.encode(LedgerState(floor: 1), revision: 9))
        writeFile("\(settings.directory)/\(Self.name(.keptLedger, segments))", [1, 2, 3])
        mkdir("\(settings.directory)/quarantine", 0o700)
        writeFile("\(settings.directory)/\(Self.name(.copy, segments))", [4, 5, 6])
        let path = "\(settings.directory)/\(Self.name(kind, segments))"
        if kind == .quarantine, what != .missing, what != .directory {
            // Only an empty directory can be replaced.
            unlink("\(settings.directory)/\(Self.name(.copy, segments))")
            rmdir(path)
        }
        let precious = Self.arrange(what, at: path, beside: directory("beside"))
        let before = Self.contents(settings.directory)

        do {
            let spool = try openSpool(settings)
            let ledger: Ledger
            do {
                ledger = try Ledger.open(
                    directory: settings.directory, name: "hub.ledger", firstSequence: spool.statistics().firstSequence,
                    logger: quiet)
            } catch {
                spool.close()
                throw error
            }
            // What has a whole frame outside of the file is there, and of the file itself what is whole.
            let found = try readAll(spool)
            let file = segments.first { path.hasSuffix($0) }
            let elsewhere = Set(
                places.filter { $0.file != file }.flatMap { Array($0.header.firstSequence..<$0.header.endSequence) })
            #expect(found == records.filter { record in found.contains { $0.id == record.id } })
            #expect(elsewhere.isSubset(of: Set(found.map(\.id))))
            if what == .older || file == nil { #expect(found == records) }
            #expect(ledger.state.floor == 0)
            try spool.append(batch(["next"]))
            #expect(spool.flush())
            #expect(try readAll(spool).count == found.count + 1)
            ledger.close()
            spool.close()
            #expect(try again(settings).count == found.count + 1)
        } catch let error as SpoolError {
            #expect(error.description.contains(path), "\(error)")
            #expect(error.description.contains("move") || error.description.contains("start the newer"), "\(error)")
            var after = Self.contents(settings.directory)
            if kind != .lock { after["lock"] = before["lock"] }
            #expect(after == before)
        }
        guard let precious else { return }
        let kept =
            Self.contents(settings.directory).values.contains(precious) || readFile(directory("beside")) == precious
        #expect(kept)
    }

    private func again(_ settings: SpoolConfiguration) throws -> [ReadRecord] {
        let spool = try openSpool(settings)
        defer { spool.close() }
        return try readAll(spool)
    }
}
