import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct JournalExportParserTests {
    /// Text, binary and repeated fields, a message with newlines, an empty one, none, and NUL bytes.
    private func stream() -> [UInt8] {
        var export = JournalExport()
        export.entry(1, [("PRIORITY", "4"), ("MESSAGE", "plain"), ("TAG", "a"), ("TAG", "b"), ("TAG", "")])
        export.begin(2)
        export.add("MESSAGE", "two\nlines\n")
        export.add("BLOB", [0, 1, 0x0A, 0xFF, UInt8(ascii: "=")])
        export.end()
        export.entry(3, [("MESSAGE", "")])
        export.begin(4)
        export.add("_TRANSPORT", "kernel")
        export.end()
        export.begin(5)
        export.add("MESSAGE", "", asBinary: true)
        export.add("COREDUMP", [UInt8](repeating: 0x0A, count: 300))
        export.end()
        export.entry(6, [("MESSAGE", "first"), ("MESSAGE", "second")])
        return export.bytes
    }

    private func check(_ entries: [ParsedEntry], sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(entries.count == 6, sourceLocation: sourceLocation)
        #expect(
            entries.map { String(decoding: $0.body, as: UTF8.self) } == [
                "plain", "two\nlines\n", "", "", "", "first\nsecond",
            ], sourceLocation: sourceLocation)
        #expect(entries.allSatisfy { $0.isWhole }, sourceLocation: sourceLocation)
        #expect(entries.map { $0.fields["__CURSOR"] } == (1...6).map { [JournalExport.cursor($0)] })
        #expect(entries.first?.fields["TAG"] == ["a", "b", ""], sourceLocation: sourceLocation)
        #expect(entries.first?.fields["PRIORITY"] == ["4"], sourceLocation: sourceLocation)
        #expect(entries.dropFirst().first?.fields["BLOB"]?.first?.utf8.count == 7, sourceLocation: sourceLocation)
        #expect(entries.dropFirst(4).first?.fields["COREDUMP"]?.first?.count == 300, sourceLocation: sourceLocation)
    }

    @Test func everyKindOfFieldIsTaken() {
        let bytes = stream()
        let (entries, broken) = parse(bytes) { bytes.count }
        #expect(broken == nil)
        check(entries)
    }

    @Test func everySplitGivesTheSameEntries() {
        let bytes = stream()
        let whole = parse(bytes) { bytes.count }.entries
        for size in 1...20 { #expect(parse(bytes) { size }.entries == whole) }
        for cut in stride(from: 1, to: bytes.count, by: 3) {
            var sizes = [cut, bytes.count]
            #expect(parse(bytes) { sizes.removeFirst() }.entries == whole, "cut at \(cut)")
        }
    }

    @Test func lengthsOfMessagesAreExact() {
        for length in Array(0...300) + [4095, 4096, 4097, 65_535, 65_536, 65_537] {
            let body = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            var export = JournalExport()
            export.begin(1)
            export.add("MESSAGE", body, asBinary: true)
            export.end()
            let entries = parse(export.bytes, maximumMessage: 1 << 17) { 1000 }.entries
            #expect(entries.map(\.body) == [body])
        }
    }

    @Test func whatIsLongerThanTheLimitIsCutAndCounted() {
        var export = JournalExport()
        export.begin(1)
        export.add("MESSAGE", [UInt8](repeating: UInt8(ascii: "m"), count: 100_000))
        for number in 0..<1500 { export.add("FIELD_\(number)", String(repeating: "v", count: 9000)) }
        export.add("_SYSTEMD_UNIT", "behind.service")
        export.end()
        export.entry(2)
        var parser = JournalExportParser()
        let entry = JournalEntry(maximumMessage: 5000)
        export.bytes.withUnsafeBytes { bytes in
            guard case .complete(let consumed) = parser.parse(bytes, into: entry) else {
                Issue.record("not complete")
                return
            }
            #expect(entry.body.count == 5000)
            #expect(entry.messageLength == 100_000)
            #expect(entry.omitted > 1000)
            #expect(entry.fields.count + entry.omitted == 1500 + 5)
            #expect(entry.fields.reduce(0) { $0 + $1.nameLength + $1.valueLength } <= JournalEntry.maximumFieldBytes)
            // What has a meaning finds room wherever it stands.
            #expect(entry.value(.unit).map { String(decoding: $0, as: UTF8.self) } == "behind.service")
            entry.reset()
            let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
            #expect(parser.parse(rest, into: entry) == .complete(consumed: rest.count))
            #expect(String(decoding: entry.body, as: UTF8.self) == "entry 2")
            #expect(entry.omitted == 0)
        }
    }

    /// journalctl prints what it can of an entry that it cannot read to its end, and begins the next one.
    @Test func anEntryWithoutItsEndIsNotMixedWithTheNext() {
        var export = JournalExport()
        export.entry(1)
        export.begin(2)
        export.add("PRIORITY", "3")
        export.entry(3)
        for size in 1...20 {
            let entries = parse(export.bytes) { size }.entries
            #expect(entries.map(\.isWhole) == [true, false, true])
            #expect(entries.map { $0.fields["PRIORITY"] } == [nil, ["3"], nil])
            #expect(entries.map { $0.fields["__CURSOR"] } == (1...3).map { [JournalExport.cursor($0)] })
        }
    }

    @Test func linesThatAreNoFieldsArePassedOver() {
        var export = JournalExport()
        export.entry(1)
        var bytes = export.bytes + Array("-- Boot 0123 --\n=nothing\nlower=case\n".utf8)
        bytes += Array((String(repeating: "N", count: 65) + "=too long\n").utf8)
        export = JournalExport()
        export.entry(2)
        bytes += export.bytes
        for size in 1...80 {
            let entries = parse(bytes) { size }.entries
            #expect(entries.map { $0.fields["__CURSOR"] } == (1...2).map { [JournalExport.cursor($0)] })
        }
    }

    @Test func whatCannotBeTrustedEndsTheStream() {
        let huge = Array("NAME\n".utf8) + [0, 0, 0, 0, 0, 0, 0, 1]
        #expect(parse(huge) { 3 }.broken == "a field of 72057594037927936 bytes")
        let wrong = Array("NAME\n".utf8) + [1, 0, 0, 0, 0, 0, 0, 0] + Array("ab\n".utf8)
        #expect(parse(wrong) { 3 }.broken == "a field that is longer than it says")
    }

    /// Whatever comes, the parser neither traps nor takes more memory than it may, and any split gives the same.
    @Test(arguments: [1, 2, 3, nil] as [UInt64?])
    func damagedStreamsAreSurvived(seed: UInt64?) {
        var generator = seed.map { SeededGenerator(seed: $0) } ?? .fresh("damaged journal streams")
        let bytes = stream()
        for _ in 0..<300 {
            let damaged = generator.mutate(bytes)
            let whole = parse(damaged, maximumMessage: 50) { damaged.count }
            var other = generator
            let split = parse(damaged, maximumMessage: 50) { Int.random(in: 1...60, using: &other) }
            #expect(whole.entries == split.entries && whole.broken == split.broken, "seed \(generator.seed)")
            #expect(whole.entries.allSatisfy { $0.body.count <= 50 })
            _ = generator.next()
        }
    }

    @Test(arguments: [11, 12, nil] as [UInt64?])
    func randomEntriesComeBack(seed: UInt64?) {
        var generator = seed.map { SeededGenerator(seed: $0) } ?? .fresh("random journal entries")
        for _ in 0..<60 {
            var export = JournalExport()
            var expected: [(body: [UInt8], values: [[UInt8]])] = []
            for number in 0..<Int.random(in: 1...5, using: &generator) {
                func random(_ limit: Int) -> [UInt8] {
                    (0..<Int.random(in: 0...limit, using: &generator)).map { _ in
                        Bool.random(using: &generator) ? 0x0A : .random(in: 0...255, using: &generator)
                    }
                }
                let body = random(200), values = (0..<Int.random(in: 0...8, using: &generator)).map { _ in random(40) }
                export.begin(number)
                for value in values { export.add("X", value) }
                export.add("MESSAGE", body, asBinary: Bool.random(using: &generator))
                export.end()
                expected.append((body, values))
            }
            var other = generator
            let (entries, broken) = parse(export.bytes) { Int.random(in: 1...100, using: &other) }
            #expect(broken == nil)
            #expect(entries.map(\.body) == expected.map(\.body), "seed \(generator.seed)")
            #expect(
                entries.map { $0.fields["X"] ?? [] }
                    == expected.map { $0.values.map { String(decoding: $0, as: UTF8.self) } })
        }
    }
}
