import Glibc
import Logging
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceAgent
@testable import TailraceDelivery

/// What `tailrace spool` shows, of spools that are made here.
@Suite struct SpoolReportTests {
    private let directory = TemporaryDirectory("spool-report")
    private let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private var path: String { directory("spool") }

    /// Three sources; every tenth record has attributes, and every seventh a body that is no UTF-8.
    private func makeSpool(records: Int) throws {
        let spool = try Spool.open(SpoolConfiguration(directory: path), logger: quiet)
        for number in 0..<records {
            let batch = RecordBatch(capacity: 4096)
            batch.context =
                RecordContext(
                    host: "web-1", source: "/var/log/\(number % 3).log", input: number % 3 == 0 ? "app" : "other",
                    fields: [.init("team", "a \"b\"")]
                ).encoded
            batch.time = 1_700_000_000_000 + Int64(number)
            batch.baseOffset = 1000 * UInt64(number)
            let body = number % 7 == 6 ? [0xFF, 0xFE, UInt8(number & 255)] : Array("line \(number)\tend\u{1B}[0m".utf8)
            guard let start = body.withUnsafeBytes(batch.copyIn) else { throw AgentError("no room") }
            batch.append(RecordEntry(start: start, length: UInt32(body.count)))
            if number % 10 == 0 {
                var attributes: [UInt8] = []
                Array("crond".utf8).withUnsafeBytes { RecordAttributes.append("app", $0, to: &attributes) }
                RecordAttributes.append("severity", 6, to: &attributes)
                guard let place = attributes.withUnsafeBytes(batch.copyIn) else { throw AgentError("no room") }
                batch.attributes.append(
                    AttributeEntry(record: 0, start: place, length: UInt32(attributes.count)))
            }
            try spool.append(batch)
        }
        #expect(spool.flush())
        spool.close()
        try Ledger.open(directory: path, name: "hub.ledger", firstSequence: 25, logger: quiet).close()
    }

    private func show(_ form: StoredRecords.Form, _ change: (inout StoredRecords.Selection) -> Void) throws -> [String]
    {
        var selection = StoredRecords.Selection()
        change(&selection)
        var bytes: [UInt8] = []
        let count = try StoredRecords(StoredSpool(directory: path), selection, form).run {
            bytes += $0
            return true
        }
        let lines = bytes.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
        if form == .json { #expect(lines.count == Int(count)) }
        return lines
    }

    @Test func recordsAreShownForPeopleAndForPrograms() throws {
        try makeSpool(records: 30)
        #expect(
            try show(.text) { ($0.first, $0.end) = (10, 11) } == [
                "record 10  2023-11-14T22:13:20.010Z  host=\"web-1\" source=\"/var/log/1.log\" input=\"other\" "
                    + "team=\"a \"b\"\" offset=10000 app=\"crond\" severity=6",
                "    | line 10\tend\u{FFFD}[0m",
            ])
        #expect(
            try show(.json) { ($0.first, $0.end) = (10, 11) }
                == [
                    #"{"id":10,"time":"2023-11-14T22:13:20.010Z","host":"web-1","source":"/var/log/1.log","input":"other","#
                        + #""offset":10000,"truncated":false,"properties":{"team":"a \"b\"","app":"crond","severity":6},"#
                        + #""body":"line 10\u0009end\u001b[0m"}"#
                ])
        #expect(try show(.json) { ($0.first, $0.end) = (6, 7) }.first?.hasSuffix(#""body_base64":"//4G"}"#) == true)
        #expect(try show(.json) { _ in }.count == 30)
        #expect(try show(.json) { $0.isUnacknowledged = true }.count == 5)
        #expect(try show(.json) { $0.input = "app" }.count == 10)
        #expect(try show(.json) { $0.source = "/var/log/2.log" }.count == 10)
        #expect(try show(.json) { $0.maximumCount = 4 }.count == 4)
        #expect(try show(.bodies) { $0.maximumCount = 2 } == ["line 0\tend\u{1B}[0m", "line 1\tend\u{1B}[0m"])
    }

    @Test func aReaderThatGoesAwayEndsTheExport() throws {
        try makeSpool(records: 3000)
        var writes = 0
        let count = try StoredRecords(StoredSpool(directory: path), .init(), .json).run { _ in
            writes += 1
            return false
        }
        #expect(writes == 1 && count < 3000)
    }

    @Test func theListTellsWhoStillWantsWhat() throws {
        try makeSpool(records: 30)
        let text = SpoolListing(try StoredSpool(directory: path)).text
        #expect(text.hasPrefix("spool \(path): 1 segment, "))
        #expect(text.contains(", 30 records, 0 positions\n"))
        #expect(text.contains("  00000000000000000001.spool: ids 0 to 29, "))
        #expect(text.contains("output hub: acknowledged below 25, 5 records at most to go\n"))
        let listing = SpoolListing(try StoredSpool(directory: path))
        let json = jsonText(listing.json)
        #expect(json.contains(#""first":0,"end":30"#) && json.contains(#""acknowledged_below":25"#))
    }

    @Test func damageIsToldWithWhatItCosts() throws {
        try makeSpool(records: 30)
        #expect(SpoolVerification(try StoredSpool(directory: path, everything: true)).isWhole)
        #expect(
            SpoolVerification(try StoredSpool(directory: path, everything: true)).text
                == "1 segment, 30 whole records, no damage\n")
        try flipByte(of: "line 11", in: "\(path)/00000000000000000001.spool")
        let verification = SpoolVerification(try StoredSpool(directory: path, everything: true))
        #expect(!verification.isWhole)
        let lines = verification.text.split(separator: "\n")
        #expect(lines.count == 2 && lines[0].hasSuffix("are damaged, records 11 to 11 are lost"), "\(lines)")
        #expect(lines.last == "1 segment, 29 whole records, 1 record lost")
        #expect(jsonText(verification.json).contains(#""first_record":11,"records":1"#))
    }

    @Test func deadLettersAreCountedByTheirReason() throws {
        let places = AgentPlaces(stateDirectory: directory.path)
        #expect(try DeadLetterListing(places).text == "no dead letters\n")
        #expect(try DeadLetterListing.open(places, output: "hub") == nil)
        try makeSpool(records: 30)
        let spool = try Spool.open(SpoolConfiguration(directory: path), logger: quiet)
        defer { spool.close() }
        let area = DeadLetterArea(
            output: "hub", directory: places.deadLetters(output: "hub"), main: spool, logger: quiet)
        let letters = DeadLetters(area, logger: quiet)
        let reader = try spool.reader(from: 0)
        while let frame = try reader.next() {
            #expect(letters.append(frame, 0..<1, reason: frame.firstSequence < 10 ? "too large" : "not allowed"))
        }
        // While the area is open and after.
        for _ in 0..<2 {
            let text = try DeadLetterListing(places).text
            #expect(text.hasPrefix("output hub: 30 records, "), "\(text)")
            #expect(text.hasSuffix("\n  20: not allowed\n  10: too large\n"), "\(text)")
            area.close()
        }
        let json = jsonText(try DeadLetterListing(places).json)
        #expect(
            json.contains(#""reasons":[{"reason":"not allowed","records":20},{"reason":"too large","records":10}]"#))
    }
}

/// Changes the first byte of the first `text` in a file.
private func flipByte(of text: String, in path: String) throws {
    let descriptor = open(path, O_RDWR)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    bytes.removeSubrange(max(0, pread(descriptor, &bytes, bytes.count, 0))...)
    let place = try #require(bytes.firstRange(of: Array(text.utf8))).lowerBound
    try #require(pwrite(descriptor, [bytes[place] ^ 1], 1, off_t(place)) == 1)
}

private func jsonText(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
