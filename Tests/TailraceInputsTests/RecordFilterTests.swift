import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

@Suite struct RecordFilterTests {
    struct Seen: Equatable {
        var body: String
        var offset: UInt64 = 0
        var truncated: Int64?
        var host = ""
    }

    /// A batch of lines as the tailer makes it; every fifth has a property of its own.
    private func batch(_ lines: [String], capacity: Int = 65_536, base: UInt64 = 1000) -> RecordBatch {
        let batch = RecordBatch(capacity: capacity)
        for line in lines {
            let start = batch.length
            var bytes = Array(line.utf8)
            bytes.append(0x0A)
            let isIn = bytes.withUnsafeBytes { batch.copyIn($0) } != nil
            precondition(isIn)
            batch.append(RecordEntry(start: UInt32(start), length: UInt32(line.utf8.count)))
        }
        for record in stride(from: 0, to: lines.count, by: 5) {
            var bytes: [UInt8] = []
            RecordAttributes.append(RecordAttributes.truncatedKey, Int64(record), to: &bytes)
            guard let start = bytes.withUnsafeBytes({ batch.copyIn($0) }) else { break }
            batch.attributes.append(
                AttributeEntry(record: UInt32(record), start: start, length: UInt32(bytes.count)))
        }
        batch.context = RecordContext(host: "h", source: "s", input: "i").encoded
        batch.position = SourcePosition(source: SourceKey([1]), value: [2])
        batch.baseOffset = base
        return batch
    }

    /// What an output would see.
    private func seen(_ batch: RecordBatch) -> [Seen] {
        var result: [Seen] = []
        for number in 0..<batch.partCount {
            let part = batch.part(number)
            let context = part.context.withUnsafeBytes { RecordContext(decoding: $0) }
            for record in part.records {
                let entry = batch.records[record]
                #expect(part.bytes.lowerBound + Int(entry.start) + entry.length <= part.bytes.upperBound)
                var seen = Seen(
                    body: String(decoding: batch.body(record), as: UTF8.self),
                    offset: part.baseOffset + UInt64(entry.start), host: context?.host ?? "")
                for attribute in batch.attributes[part.attributes]
                where Int(attribute.record) == record - part.records.lowerBound {
                    var bytes = UnsafeRawBufferPointer(
                        start: batch.block + part.bytes.lowerBound + Int(attribute.start), count: Int(attribute.length))
                    if let own = RecordAttributes.splitOffset(bytes) { (seen.offset, bytes) = own }
                    RecordAttributes.forEach(in: bytes) { _, value in
                        if case .integer(let number) = value { seen.truncated = number }
                    }
                }
                result.append(seen)
            }
        }
        return result
    }

    private func rules(_ change: (inout RecordFilterRules) throws -> Void) rethrows -> RecordFilterRules {
        var rules = RecordFilterRules()
        try change(&rules)
        return rules
    }

    private func redaction(_ pattern: String, _ text: String) throws -> RedactionRule {
        let pattern = try Pattern(pattern)
        return RedactionRule(pattern, try #require(Replacement(text, groups: pattern.groups)))
    }

    @Test func keepThenDrop() throws {
        let filter = RecordFilter(
            try rules {
                $0.keep = [try Pattern("ERROR"), try Pattern("WARN")]
                $0.drop = [try Pattern("health")]
            }, name: "i")
        let lines = ["ERROR a", "INFO b", "WARN health", "WARN c", "ERROR d", "ERROR e"]
        let batch = batch(lines)
        filter.apply(to: batch)
        #expect(seen(batch).map(\.body) == ["ERROR a", "WARN c", "ERROR d", "ERROR e"])
        #expect(seen(batch).map(\.offset) == [1000, 1027, 1034, 1042])
        #expect(seen(batch).map(\.truncated) == [0, nil, nil, 5])
        #expect(filter.counts.notKept == 1 && filter.counts.dropped == 1 && filter.counts.filtered == 2)
    }

    @Test func nothingLeftLeavesThePosition() throws {
        let filter = RecordFilter(try rules { $0.keep = [try Pattern("never")] }, name: "i")
        let batch = batch(["a", "b"])
        filter.apply(to: batch)
        #expect(batch.recordCount == 0 && batch.length == 0 && batch.attributes.isEmpty)
        #expect(batch.position != nil && !batch.context.isEmpty)
    }

    @Test func redactionStaysInPlaceWhereItCan() throws {
        let filter = RecordFilter(
            try rules {
                $0.redact = [
                    try redaction(#"(password=)\S+"#, "$1*"), try redaction(#"\d{4}-(\d{4})"#, "${1}"),
                ]
            }, name: "i")
        let batch = batch(["x password=geheim y", "card 1234-5678", "harmless"])
        let block = batch.block
        filter.apply(to: batch)
        #expect(batch.block == block)
        #expect(seen(batch).map(\.body) == ["x password=* y", "card 5678", "harmless"])
        #expect(seen(batch).map(\.offset) == [1000, 1020, 1035])
        #expect(filter.counts.redacted == 2)
        // What was hidden is not in the block any more.
        let bytes = Array(UnsafeRawBufferPointer(start: batch.block, count: batch.length))
        #expect(!String(decoding: bytes, as: UTF8.self).contains("geheim"))
        #expect(!String(decoding: bytes, as: UTF8.self).contains("1234"))
    }

    @Test func redactionThatMakesLongerMovesTheBatchAndKeepsOffsets() throws {
        let filter = RecordFilter(try rules { $0.redact = [try redaction("secret|^$", "[hidden $0]")] }, name: "i")
        let batch = batch(["a secret", "b", "", "secretsecret"], capacity: 8192)
        filter.apply(to: batch)
        #expect(
            seen(batch) == [
                Seen(body: "a [hidden secret]", offset: 1000, truncated: 0, host: "h"),
                Seen(body: "b", offset: 1009, host: "h"), Seen(body: "[hidden ]", offset: 1011, host: "h"),
                Seen(body: "[hidden secret][hidden secret]", offset: 1012, host: "h"),
            ])
        batch.recycle()
        #expect(batch.capacity == 8192)
    }

    /// Entries of the journal and converted lines have it beforehand.
    @Test func whatHasAnOffsetOfItsOwnKeepsIt() throws {
        let filter = RecordFilter(try rules { $0.redact = [try redaction("secret", "[hidden]")] }, name: "i")
        let batch = batch(["a secret", "b"], capacity: 8192)
        batch.attributes = []
        for record in 0..<2 {
            var bytes: [UInt8] = []
            RecordAttributes.append(RecordAttributes.offsetKey, Int64(70 + record), to: &bytes)
            RecordAttributes.append(RecordAttributes.truncatedKey, 9, to: &bytes)
            let start = try #require(bytes.withUnsafeBytes { batch.copyIn($0) })
            batch.attributes.append(
                AttributeEntry(record: UInt32(record), start: start, length: UInt32(bytes.count)))
        }
        filter.apply(to: batch)
        #expect(
            seen(batch) == [
                Seen(body: "a [hidden]", offset: 70, truncated: 9, host: "h"),
                Seen(body: "b", offset: 71, truncated: 9, host: "h"),
            ])
        // Not twice either.
        #expect(batch.attributes.map { Int($0.length) } == [43, 43])
    }

    @Test func littleThatIsLeftOfALargeBlockTakesLittleRoom() throws {
        let filter = RecordFilter(try rules { $0.keep = [try Pattern("7$")] }, name: "i")
        let lines = (0..<5000).map { "a line with number \($0)" }
        let batch = batch(lines, capacity: 300_000)
        let used = batch.length
        filter.apply(to: batch)
        let expected = lines.enumerated().filter { $0.element.hasSuffix("7") }
        #expect(seen(batch).map(\.body) == expected.map(\.element))
        var offset: UInt64 = 1000
        var offsets: [UInt64] = []
        for line in lines {
            offsets.append(offset)
            offset += UInt64(line.utf8.count) + 1
        }
        #expect(seen(batch).map(\.offset) == expected.map { offsets[$0.offset] })
        #expect(batch.length < used / 2)
    }

    @Test func sectionsKeepTheirContextsAndEmptyOnesGo() throws {
        let batch = RecordBatch(capacity: 8192)
        for (peer, lines) in [("p1", ["keep 1", "x"]), ("p2", ["y"]), ("p3", ["keep 2", "z", "keep 3"])] {
            for line in lines {
                let origin = batch.sectionStart
                let start = Array(line.utf8).withUnsafeBytes { batch.copyIn($0) }
                batch.append(
                    RecordEntry(start: try #require(start) - UInt32(origin), length: UInt32(line.utf8.count)))
                var bytes: [UInt8] = []
                RecordAttributes.append("n", Int64(batch.recordCount), to: &bytes)
                let at = bytes.withUnsafeBytes { batch.copyIn($0) }
                batch.attributes.append(
                    AttributeEntry(
                        record: UInt32(batch.recordCount - 1 - batch.sectionRecord),
                        start: try #require(at) - UInt32(origin), length: UInt32(bytes.count)))
            }
            batch.closeSection(context: RecordContext(host: peer, source: "s", input: "i").encoded)
        }
        for replacement in ["k", "a longer one"] {
            let filter = RecordFilter(
                try rules {
                    $0.keep = [try Pattern("keep|^k |longer")]
                    $0.redact = [try redaction("^(keep|k)", replacement)]
                }, name: "i")
            filter.apply(to: batch)
            #expect(seen(batch).map(\.body) == [1, 2, 3].map { "\(replacement) \($0)" })
            #expect(seen(batch).map(\.host) == ["p1", "p3", "p3"])
            #expect(seen(batch).map(\.truncated) == [1, 4, 6])
            #expect(batch.sections.count == 2)
        }
    }

    @Test func theSampleIsEvenAndTheSameEachTime() {
        func sample(_ share: Double, _ name: String) -> [Int] {
            let filter = RecordFilter(rules { $0.sample = share }, name: name)
            var found: [Int] = []
            for round in 0..<20 {
                let batch = batch((0..<1000).map { "\(round * 1000 + $0)" })
                filter.apply(to: batch)
                found += seen(batch).compactMap { Int($0.body) }
            }
            #expect(filter.counts.notSampled == UInt64(20_000 - found.count))
            return found
        }
        let found = sample(0.1, "a")
        #expect(found == sample(0.1, "a") && found != sample(0.1, "b"))
        #expect((1700...2300).contains(found.count))
        #expect((0..<20).allSatisfy { round in found.contains { $0 / 1000 == round } })
        #expect((0..<10).allSatisfy { digit in (100...300).contains(found.count { $0 % 10 == digit }) })
        #expect(sample(1, "a").count == 20_000)
    }

    @Test func whereRedactionGivesUpTheRecordGoesNoFurther() throws {
        let hard = String(repeating: "a", count: 60) + "!"
        let filter = RecordFilter(try rules { $0.redact = [try redaction("^(a+)+$", "x")] }, name: "i")
        let batch = batch(["fine", hard, "aaa"])
        filter.apply(to: batch)
        #expect(seen(batch).map(\.body) == ["fine", "x"])
        #expect(filter.counts.notRedactable == 1)
        let bytes = UnsafeRawBufferPointer(start: batch.block, count: batch.length)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("aaaa"))
        // Where only the way is unclear, it goes along.
        let unsure = RecordFilter(
            try rules {
                $0.keep = [try Pattern("^(a+)+$")]
                $0.drop = [try Pattern("^(?:a|aa)+$")]
            }, name: "i")
        let other = self.batch([hard, "b"])
        unsure.apply(to: other)
        #expect(seen(other).map(\.body) == [hard])
        #expect(unsure.counts.undecided == 2 && unsure.counts.notKept == 1)
    }

    @Test func redactionThatGrowsWithoutEndGivesUp() throws {
        let filter = RecordFilter(
            try rules { $0.redact = [try redaction("", String(repeating: "x", count: 1000))] }, name: "i")
        let batch = batch([String(repeating: "a", count: 5000), "a"], capacity: 8192)
        filter.apply(to: batch)
        #expect(filter.counts.notRedactable == 1)
        #expect(seen(batch).map(\.body.count) == [2001])
    }

    @Test func replacements() throws {
        #expect(Replacement("$$1 $x $", groups: 0) != nil)
        #expect(Replacement("$1", groups: 0) == nil && Replacement("${1", groups: 1) == nil)
        #expect(Replacement("${}", groups: 1) == nil && Replacement("$11", groups: 10) == nil)
        let pattern = try Pattern("(a)|(b)")
        var redactor = Redactor([RedactionRule(pattern, try #require(Replacement("<$1|$2|$0|${1}0|$$>$", groups: 2)))])
        let outcome = Array("xaby".utf8).withUnsafeBytes { redactor.redact($0, limit: 100) }
        #expect(outcome == .changed)
        #expect(String(decoding: redactor.body, as: UTF8.self) == "x<a||a|a0|$>$<|b|b|0|$>$y")
    }

    @Test func agreesWithAModelOnRandomBatches() throws {
        for seed in [1, 2, 3] as [UInt64] { try agrees(SeededGenerator(seed: seed)) }
        try agrees(.fresh("filter"))
    }

    private func agrees(_ generator: SeededGenerator) throws {
        var generator = generator
        for _ in 0..<60 {
            let lines = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                String(
                    (0..<Int.random(in: 0...8, using: &generator)).map { _ in "abcs".randomElement(using: &generator)! }
                )
            }
            let replacement = ["", "*", "<long>"].randomElement(using: &generator) ?? ""
            let filter = RecordFilter(
                try rules {
                    $0.keep = [try Pattern("a"), try Pattern("^$")]
                    $0.drop = [try Pattern("cc")]
                    $0.redact = [try redaction("s+", replacement)]
                }, name: "i")
            var expected: [Seen] = []
            var offset: UInt64 = 1000
            for (index, line) in lines.enumerated() {
                if line.isEmpty || line.contains("a"), !line.contains("cc") {
                    var body = ""
                    for character in line where character != "s" || body.last != "s" { body.append(character) }
                    body = body.split(separator: "s", omittingEmptySubsequences: false).joined(separator: replacement)
                    expected.append(
                        Seen(body: body, offset: offset, truncated: index % 5 == 0 ? Int64(index) : nil, host: "h"))
                }
                offset += UInt64(line.utf8.count) + 1
            }
            let batch = batch(lines)
            filter.apply(to: batch)
            #expect(seen(batch) == expected, "seed \(generator.seed)")
            #expect(filter.counts.filtered == UInt64(lines.count - expected.count))
        }
    }
}
