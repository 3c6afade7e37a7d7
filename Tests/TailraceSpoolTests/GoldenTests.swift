import Glibc
import TestSupport
import Testing

@testable import TailraceSpool

/// Files of each version of the formats, kept as they are: every later version has to read them. A new version adds its own.
@Suite struct GoldenTests {
    private static let golden = #filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex) + "/Golden"

    private struct Record: Equatable {
        var id: UInt64
        var source: String
        var time: Int64
        var offset: UInt64
        var body: String
        var attributes: [UInt8]
    }

    /// What lies in all of them.
    private static func records() -> [Record] {
        (0..<90).map { id in
            let part = id % 3
            let start = (0..<part).reduce(0) { $0 + text(id - part + $1).utf8.count + 1 }
            return Record(
                id: UInt64(id), source: "/var/log/\(id / 3 % 4).log", time: 1_700_000_000_000 + Int64(id / 3),
                offset: UInt64(id / 3 * 1000 + start), body: text(id), attributes: part == 1 ? attributes : [])
        }
    }

    private static func text(_ id: Int) -> String { "line \(id)" + String(repeating: ".", count: id % 50) }

    private static let attributes: [UInt8] = {
        var bytes: [UInt8] = []
        RecordAttributes.append("severity", 4, to: &bytes)
        return bytes
    }()

    private static let ledgerState = LedgerState(
        floor: 30, generation: 2, keyKind: .source,
        partitions: [
            .init(acknowledged: 31, serviceNumber: 17, producer: .init(groupID: 123_456_789_012, ownerLevel: 5)),
            .init(acknowledged: 30),
        ])

    /// Writes with today's code what version 1 of the spool and version 2 of the ledger are.
    private static func write(_ path: String) throws {
        var settings = SpoolConfiguration(directory: path)
        settings.segmentSize = 4096
        settings.maximumSize = 1 << 20
        settings.environment.clocks = Clocks(
            nanoseconds: monotonicNanoseconds, instant: { .now }, wallMilliseconds: { 1_700_000_000_000 })
        let spool = try openSpool(settings)
        for number in 0..<30 {
            let batch = RecordBatch(capacity: 1024)
            for part in 0..<3 {
                guard let start = Array(text(number * 3 + part).utf8).withUnsafeBytes(batch.copyIn) else { return }
                batch.append(RecordEntry(start: start, length: UInt32(text(number * 3 + part).utf8.count)))
                _ = [UInt8(ascii: "\n")].withUnsafeBytes(batch.copyIn)
            }
            guard let start = attributes.withUnsafeBytes(batch.copyIn) else { return }
            batch.attributes.append(AttributeEntry(record: 1, start: start, length: UInt32(attributes.count)))
            batch.context = RecordContext(host: "golden", source: "/var/log/\(number % 4).log", input: "app").encoded
            batch.position = SourcePosition(source: key("\(number % 4)"), value: Array("up to \(number)".utf8))
            batch.time = 1_700_000_000_000 + Int64(number)
            batch.baseOffset = UInt64(number * 1000)
            try spool.append(batch)
            #expect(spool.flush())
        }
        spool.close()
        writeFile("\(path)/hub.ledger", LedgerFormat.encode(ledgerState, revision: 41))
        unlink("\(path)/lock")
    }

    /// The files of version 1, in a directory of their own.
    private static func copy(to path: String) {
        mkdir(path, 0o700)
        for name in names("\(golden)/spool-1") { writeFile("\(path)/\(name)", readFile("\(golden)/spool-1/\(name)")) }
    }

    @Test func theSpoolOfVersion1IsReadAndGoesOn() throws {
        let directory = TemporaryDirectory()
        let settings = configuration(directory)
        Self.copy(to: settings.directory)
        #expect(names(settings.directory, suffix: ".spool").count >= 3)
        let spool = try openSpool(settings)
        #expect(spool.recovery.isClean)
        #expect(spool.recovery.foreignFiles.isEmpty)
        var found: [Record] = []
        let reader = try spool.reader(from: 0)
        while let frame = try reader.next() {
            let context = try #require(RecordContext(decoding: frame.context))
            #expect(context.host == "golden" && context.input == "app")
            for index in 0..<frame.recordCount {
                found.append(
                    Record(
                        id: frame.firstSequence + UInt64(index), source: context.source, time: frame.time,
                        offset: frame.baseOffset + UInt64(frame.entry(index).start),
                        body: String(decoding: frame.body(index), as: UTF8.self),
                        attributes: Array(frame.attributes(of: index))))
            }
        }
        #expect(found == Self.records())
        let positions = (26..<30).map { (key("\($0 % 4)"), Array("up to \($0)".utf8)) }
        #expect(spool.positions() == Dictionary(uniqueKeysWithValues: positions))
        let ledger = try Ledger.open(
            directory: settings.directory, name: "hub.ledger", firstSequence: 0, logger: quiet)
        #expect(ledger.origin == .read)
        #expect(ledger.state == Self.ledgerState)
        ledger.close()
        try spool.append(batch(["more"]))
        #expect(spool.flush())
        #expect(try readAll(spool, from: 90).map(\.id) == [90])
        spool.close()
    }

    @Test func theSpoolThatIsWrittenIsStillThatOfVersion1() throws {
        let directory = TemporaryDirectory()
        try Self.write(directory("spool"))
        #expect(names(directory("spool")) == names("\(Self.golden)/spool-1"))
        for name in names("\(Self.golden)/spool-1") {
            let isSame = readFile("\(directory("spool"))/\(name)") == readFile("\(Self.golden)/spool-1/\(name)")
            #expect(isSame, "\(name)")
        }
    }

    /// Read, and replaced by one of version 2.
    @Test func theLedgerOfVersion1IsReadAndUpgraded() throws {
        let directory = TemporaryDirectory()
        writeFile(directory("hub.ledger"), readFile("\(Self.golden)/ledger-1.ledger"))
        let expected = LedgerState(
            floor: 1000, generation: 3, keyKind: .unknown,
            partitions: [.init(acknowledged: 1005, serviceNumber: -1), .init(acknowledged: 1006, serviceNumber: -2)])
        for _ in 0..<2 {
            let ledger = try Ledger.open(
                directory: directory.path, name: "hub.ledger", firstSequence: 0, logger: quiet)
            #expect(ledger.origin == .read)
            #expect(ledger.state == expected)
            ledger.close()
        }
        let file = try SpoolFile(directory("hub.ledger"), .read, on: SystemDisk())
        #expect(try LedgerFormat.read(file).version == 2)
    }
}
