import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// Reads bytes as the tailer does, chunk by chunk, from the beginning of the first open record.
struct AssembledReader {
    struct Record: Equatable {
        var body: String
        var attributes: [String: String] = [:]
        /// Its offset among the bytes.
        var offset = 0
    }
    let bytes: [UInt8]
    var offset = 0
    var assembler: LineAssembler
    var maximumLine = 1000
    var capacity = 16_384
    var records: [Record] = []

    init(_ bytes: [UInt8], format: ContainerFormat? = nil, multiline: MultilineRules? = nil) {
        self.bytes = bytes
        guard let assembler = LineAssembler(format: format, multiline: multiline) else { fatalError("no rules") }
        self.assembler = assembler
    }

    var bodies: [String] { records.map(\.body) }

    /// Reads while the file has `size` bytes.
    mutating func read(upTo size: Int, isClosing: Bool = false) {
        while true {
            let batch = RecordBatch(capacity: capacity)
            let room = capacity - LineSplitter.reserve
            let largest = assembler.rewrites ? room / 2 : room
            let count = min(largest, size - offset)
            bytes.withUnsafeBytes { batch.block.copyMemory(from: $0.baseAddress! + offset, byteCount: count) }
            let consumed = LineSplitter.split(
                batch, count: count, maximumLine: maximumLine, takesRest: isClosing && offset + count == size)
            if consumed == 0 { return }
            let done = assembler.assemble(
                batch, consumed: consumed, maximumLength: maximumLine, isFull: count == largest, isClosing: isClosing)
            if done == 0 { return }
            var attributes = batch.attributes[...]
            for index in 0..<batch.recordCount {
                let entry = batch.records[index]
                var record = Record(
                    body: String(decoding: batch.body(index), as: UTF8.self), offset: offset + Int(entry.start))
                if let first = attributes.first, Int(first.record) == index {
                    attributes.removeFirst()
                    let bytes = UnsafeRawBufferPointer(start: batch.block + Int(first.start), count: Int(first.length))
                    RecordAttributes.forEach(in: bytes) { key, value in
                        record.attributes[String(decoding: key, as: UTF8.self)] =
                            switch value {
                            case .integer(let number): "\(number)"
                            case .string(let text): String(decoding: text, as: UTF8.self)
                            }
                    }
                }
                records.append(record)
            }
            #expect(attributes.isEmpty)
            offset += done
        }
    }

    mutating func readAll() {
        read(upTo: bytes.count)
        read(upTo: bytes.count, isClosing: true)
    }
}

@Suite struct LineAssemblerTests {
    private func bodies(_ text: String, _ rules: MultilineRules) -> [String] {
        var reader = AssembledReader(Array(text.utf8), multiline: rules)
        reader.readAll()
        return reader.bodies
    }

    @Test func aLineThatMatchesBeginsARecord() throws {
        let rules = MultilineRules(.start(try Pattern(#"^\d{4}-"#)))
        #expect(
            bodies("x\n2026- a\n b\n\nc\n2026- d\n2027- e\n", rules) == ["x", "2026- a\n b\n\nc", "2026- d", "2027- e"])
    }

    @Test func aLineThatMatchesEndsARecord() throws {
        let rules = MultilineRules(.end(try Pattern(";$")))
        #expect(bodies("a\nb;\nc;\nd\n", rules) == ["a\nb;", "c;", "d"])
    }

    @Test func indentedLinesContinueARecord() {
        let text = " zero\none\n\ttwo\n three\r\n\n four\nfive"
        #expect(bodies(text, MultilineRules(.indent)) == [" zero", "one\n\ttwo\n three\r", "\n four", "five"])
    }

    @Test func aRecordIsOneStretchOfTheFile() throws {
        var reader = AssembledReader(Array("one\n two\nthree\n".utf8), multiline: MultilineRules(.indent))
        reader.readAll()
        #expect(reader.records.map(\.offset) == [0, 9])
        #expect(reader.offset == 15)
    }

    @Test func whatIsOpenIsNotPassedOn() throws {
        var reader = AssembledReader(Array("a\nb\n c\n".utf8), multiline: MultilineRules(.indent))
        reader.read(upTo: 7)
        #expect(reader.bodies == ["a"] && reader.offset == 2)
        // The same again changes nothing.
        reader.read(upTo: 7)
        #expect(reader.bodies == ["a"] && reader.offset == 2)
        reader.read(upTo: 7, isClosing: true)
        #expect(reader.bodies == ["a", "b\n c"] && reader.offset == 7)
    }

    @Test func aRecordThatNeverEndsIsEndedByItsLimits() {
        var rules = MultilineRules(.indent)
        rules.maximumLines = 3
        #expect(bodies("a\n b\n c\n d\n e\n f\n g\n", rules) == ["a\n b\n c", " d\n e\n f", " g"])
        let lines = (0..<500).map { " line \($0) " + String(repeating: "x", count: 90) }
        let found = bodies("first\n" + lines.joined(separator: "\n") + "\n", MultilineRules(.indent))
        #expect(found.allSatisfy { $0.utf8.count <= 1000 })
        #expect(found.joined(separator: "\n") == "first\n" + lines.joined(separator: "\n"))
    }

    @Test func aRecordBesideALineThatFillsTheChunkEnds() {
        var reader = AssembledReader(
            Array(("a\n b\n" + String(repeating: "x", count: 20_000)).utf8), multiline: MultilineRules(.indent))
        reader.maximumLine = 12_000
        reader.read(upTo: reader.bytes.count)
        #expect(reader.bodies == ["a\n b"])
    }

    @Test func aLineThatWasCutIsARecordOfItsOwn() {
        var reader = AssembledReader(
            Array("a\n b\n \(String(repeating: "x", count: 60))\n c\nd\n".utf8), multiline: MultilineRules(.indent))
        reader.maximumLine = 40
        reader.readAll()
        #expect(reader.bodies == ["a\n b", " " + String(repeating: "x", count: 39), " c", "d"])
        #expect(reader.records[1].attributes == ["truncated": "61"])
        #expect(reader.records.filter { !$0.attributes.isEmpty }.count == 1)
    }

    @Test func tracesOfJava() throws {
        let trace = """
            Exception in thread "main" java.lang.IllegalStateException: A book has a null property
            \tat com.example.Author.getBookIds(Author.java:38)
            \tat com.example.Bootstrap.main(Bootstrap.java:14)
            Caused by: java.lang.NullPointerException
            \tat com.example.Book.getId(Book.java:22)
            \t... 1 more
            """
        let found = bodies("before\n\(trace)\nafter\n not a frame\n", MultilineRules(.trace(try .java())))
        #expect(found == ["before", trace, "after", " not a frame"])
    }

    @Test func tracesOfPython() throws {
        let trace = """
            Traceback (most recent call last):
              File "/app/a.py", line 3, in f
                return 1 / 0
                       ~~^~~
            ZeroDivisionError: division by zero

            During handling of the above exception, another exception occurred:

            Traceback (most recent call last):
              File "/app/a.py", line 9, in <module>
                f()
            app.errors.Wrapped: it failed
            """
        let found = bodies("before\n\(trace)\nafter\n2026 x\n", MultilineRules(.trace(try .python())))
        #expect(found == ["before", trace, "after", "2026 x"])
        let group = """
              + Exception Group Traceback (most recent call last):
              |   File "<stdin>", line 1, in <module>
              | ExceptionGroup: eg (1 sub-exception)
              +-+---------------- 1 ----------------
                | ValueError: 1
                +------------------------------------
            """
        #expect(bodies("\(group)\nafter\n", MultilineRules(.trace(try .python()))) == [group, "after"])
    }

    @Test func tracesOfGo() throws {
        let trace = """
            panic: runtime error: invalid memory address or nil pointer dereference
            [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47b5d0]

            goroutine 1 [running]:
            main.(*server).handle(0xc000012345, {0x1, 0x2})
            \t/app/main.go:12 +0x1d
            created by main.start in goroutine 7
            \t/app/main.go:30 +0x5

            goroutine 7 [select]:
            main.start()
            \t/app/main.go:31 +0x9
            """
        let found = bodies("a b (c)\n\(trace)\nafter it (x)\nmore\n", MultilineRules(.trace(try .go())))
        #expect(found == ["a b (c)", trace, "after it (x)", "more"])
    }

    // MARK: Against a model, split everywhere

    private enum Rule: CaseIterable {
        case start, end, indent

        func rules() throws -> MultilineRules {
            switch self {
            case .start: MultilineRules(.start(try Pattern("^[ab]")))
            case .end: MultilineRules(.end(try Pattern("b$")))
            case .indent: MultilineRules(.indent)
            }
        }

        /// Whether `line` goes on with a record whose last line is `last`.
        func joins(_ last: [UInt8], _ line: [UInt8]) -> Bool {
            switch self {
            case .start: line.first != 0x61 && line.first != 0x62
            case .end: last.last != 0x62
            case .indent: line.first == 0x20 || line.first == 0x09
            }
        }
    }

    private func model(_ bytes: [UInt8], _ rule: Rule, maximumLines: Int, maximumLine: Int) -> [[UInt8]] {
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { Array($0) }
        if lines.last == [] { lines.removeLast() }
        var records: [[UInt8]] = []
        var last: [UInt8]?
        var count = 0
        for line in lines {
            if line.count > maximumLine {
                records.append(Array(line.prefix(maximumLine)))
                last = nil
                continue
            }
            if let previous = last, count < maximumLines, rule.joins(previous, line),
                records[records.count - 1].count + 1 + line.count <= maximumLine
            {
                records[records.count - 1] += [0x0A] + line
                count += 1
            } else {
                records.append(line)
                count = 1
            }
            last = line
        }
        return records
    }

    @Test func agreesWithAModelHoweverTheFileGrows() throws {
        for seed in [1, 2, 3] as [UInt64] { try agrees(SeededGenerator(seed: seed)) }
        try agrees(.fresh("assembler"))
    }

    private func agrees(_ generator: SeededGenerator) throws {
        var generator = generator
        let alphabet: [UInt8] = [0x0A, 0x0A, 0x20, 0x61, 0x62, 0x63, 0x09, 0x0D, 0xFF]
        for _ in 0..<30 {
            guard let rule = Rule.allCases.randomElement(using: &generator) else { continue }
            var rules = try rule.rules()
            rules.maximumLines = Int.random(in: 2...8, using: &generator)
            let maximumLine = Int.random(in: 3...30, using: &generator)
            let bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator) ?? 0
            }
            let expected = model(bytes, rule, maximumLines: rules.maximumLines, maximumLine: maximumLine)
                .map { String(decoding: $0, as: UTF8.self) }
            for first in 0...bytes.count {
                var reader = AssembledReader(bytes, multiline: rules)
                reader.maximumLine = maximumLine
                reader.read(upTo: first)
                // A restart: nothing is left but the offset.
                var second = AssembledReader(bytes, multiline: rules)
                second.maximumLine = maximumLine
                second.offset = reader.offset
                second.readAll()
                // What the splitter leaves is a last line that is too long: others take it.
                var found = reader.bodies + second.bodies
                if second.offset < bytes.count {
                    found.append(String(decoding: bytes[second.offset...].prefix(maximumLine), as: UTF8.self))
                }
                #expect(found == expected, "seed \(generator.seed) \(rule) \(bytes) at \(first)")
            }
        }
    }
}
