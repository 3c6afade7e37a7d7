import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

@Suite struct ContainerFormatTests {
    private func records(
        _ text: String, _ format: ContainerFormat, _ multiline: MultilineRules? = nil
    ) -> [AssembledReader.Record] {
        var reader = AssembledReader(Array(text.utf8), format: format, multiline: multiline)
        reader.readAll()
        #expect(reader.offset == text.utf8.count)
        return reader.records
    }

    private let time = "2026-11-21T20:59:59.123456789Z"
    private let milliseconds = "1795294799123"

    @Test func aLineOfDocker() {
        let found = records(
            #"{"log":"a \"b\" \\ \u003cx\u003e \ud83d\ude00 \ud83d\t\n","stream":"stderr","time":"\#(time)"}"# + "\n"
                + #" { "attrs" : {"tag":["x",1,null]}, "time":"x", "stream":"stdout", "log" : "\n" } "# + "\r\n",
            .dockerJSON)
        #expect(found.map(\.body) == ["a \"b\" \\ <x> 😀 \u{FFFD}\t", ""])
        #expect(found.map(\.attributes) == [["stream": "stderr", "event_time": milliseconds], ["stream": "stdout"]])
    }

    @Test func aLineOfCRI() {
        let found = records(
            "\(time) stdout F a  b \n2026-11-21T21:59:59.5+01:00 stderr F \n\(time) stdout F\n", .cri)
        #expect(found.map(\.body) == ["a  b ", "", ""])
        #expect(
            found.map(\.attributes) == [
                ["stream": "stdout", "event_time": milliseconds], ["stream": "stderr", "event_time": "1795294799500"],
                ["stream": "stdout", "event_time": milliseconds],
            ])
    }

    @Test func partialLinesAreJoinedPerStream() {
        let cri = records(
            "\(time) stdout P one \n\(time) stderr F between\n\(time) stdout P two \n\(time) stdout F three\n", .cri)
        #expect(cri.map(\.body) == ["one two three", "between"])
        #expect(cri.map { $0.attributes["stream"] } == ["stdout", "stderr"])
        let docker = records(
            """
            {"log":"one ","stream":"stdout"}
            {"log":"between\\n","stream":"stderr"}
            {"log":"two\\n","stream":"stdout"}
            {"log":"last","stream":"stdout"}

            """, .dockerJSON)
        #expect(docker.map(\.body) == ["one two", "between", "last"])
    }

    @Test func aTraceOfOneStreamIsOneRecord() throws {
        let found = records(
            """
            {"log":"Exception in thread main\\n","stream":"stderr"}
            {"log":"served /\\n","stream":"stdout"}
            {"log":"\\tat a.b(C.java:1)\\n","stream":"stderr"}
            {"log":"\\tat a.c","stream":"stderr"}
            {"log":"(C.java:2)\\n","stream":"stderr"}
            {"log":"done\\n","stream":"stderr"}

            """, .dockerJSON, MultilineRules(.trace(try .java())))
        #expect(
            found.map(\.body) == [
                "Exception in thread main\n\tat a.b(C.java:1)\n\tat a.c(C.java:2)", "served /", "done",
            ])
    }

    @Test func aLineOfAnotherFormatGoesAlongWholeWithAReason() {
        let lines = [
            ("plain text", "not a JSON object of docker's json-file"), ("", "not a JSON object of docker's json-file"),
            (#"{"log":"x\n","stream":"stdout""#, "not a JSON object of docker's json-file"),
            (#"{"log":"x\q"}"#, "not a JSON object of docker's json-file"),
            (#"{"log":"x\u12g4"}"#, "not a JSON object of docker's json-file"),
            (#"{"log":"x\n"} more"#, "not a JSON object of docker's json-file"),
            (#"{"stream":"stdout"}"#, "no string \"log\" in the JSON object"),
            ("{}", "no string \"log\" in the JSON object"),
            (#"{"log":7}"#, "no string \"log\" in the JSON object"),
            (#"{"log":"x\n","stream":"stdin"}"#, "no known stream"),
        ]
        let found = records(lines.map { $0.0 + "\n" }.joined(), .dockerJSON)
        #expect(found.map(\.body) == lines.map(\.0))
        #expect(found.map { $0.attributes["parse_error"] } == lines.map(\.1))
        for line in ["x", "\(time) stdout", "\(time) stdout X y", "\(time) stdout PF y", "yesterday stdout F y"] {
            let found = records(line + "\n", .cri)
            #expect(found.map(\.body) == [line])
            #expect(found[0].attributes == ["parse_error": "not a line of the CRI format"])
        }
    }

    @Test func timesAreThoseOfTheCalendar() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:00:00Z", 951_825_600_000), ("1969-12-31T23:59:59.999Z", -1),
            ("2026-11-21T20:59:59.123456789Z", 1_795_294_799_123), ("2026-12-31T23:59:59-00:30", 1_798_763_399_000),
            ("2026-13-01T00:00:00Z", nil), ("2026-11-21T20:59:59", nil), ("2026-11-21 20:59:59Z", nil),
            ("2026-11-21T20:59:59.Z", nil), ("", nil),
        ] as [(String, Int64?)] {
            #expect(Array(text.utf8).withUnsafeBytes { InternetTime.milliseconds($0) } == expected, "\(text)")
        }
    }

    // MARK: Against a model, split everywhere

    private struct Written {
        var bytes: [UInt8] = []
        var expected: [String] = []
    }

    /// What containers of two streams write, with partial lines that take turns.
    private func write(_ format: ContainerFormat, _ generator: inout SeededGenerator) -> Written {
        var written = Written()
        /// Index in `expected` of the line that is not finished, per stream.
        var open: [Int?] = [nil, nil]
        let alphabet = Array("ab <\"\\\té😀\u{7f}")
        for _ in 0..<Int.random(in: 0...10, using: &generator) {
            let stream = Int.random(in: 0...1, using: &generator)
            let name = ["stdout", "stderr"][stream]
            let isPartial = Int.random(in: 0..<3, using: &generator) == 0
            let text = String(
                (0..<Int.random(in: 1...6, using: &generator)).map { _ in
                    alphabet.randomElement(using: &generator) ?? "a"
                })
            if let index = open[stream] {
                written.expected[index] += text
            } else {
                open[stream] = written.expected.count
                written.expected.append(text)
            }
            if !isPartial { open[stream] = nil }
            switch format {
            case .cri: written.bytes += Array("\(time) \(name) \(isPartial ? "P" : "F") \(text)\n".utf8)
            case .dockerJSON:
                var escaped = ""
                for scalar in text.unicodeScalars {
                    switch scalar {
                    case "\"", "\\": escaped += "\\\(scalar)"
                    case "\t": escaped += "\\t"
                    case "<" where Bool.random(using: &generator): escaped += "\\u003c"
                    default: escaped.unicodeScalars.append(scalar)
                    }
                }
                written.bytes += Array(
                    #"{"log":"\#(escaped)\#(isPartial ? "" : "\\n")","stream":"\#(name)","time":"\#(time)"}"#.utf8)
                written.bytes.append(0x0A)
            }
        }
        return written
    }

    @Test(arguments: ContainerFormat.allCases) func agreesWithAModelHoweverTheFileGrows(_ format: ContainerFormat) {
        for seed in [1, 2, 3] as [UInt64] { agrees(format, SeededGenerator(seed: seed)) }
        agrees(format, .fresh("containers"))
    }

    private func agrees(_ format: ContainerFormat, _ generator: SeededGenerator) {
        var generator = generator
        for _ in 0..<3 {
            let written = write(format, &generator)
            for first in 0...written.bytes.count {
                var reader = AssembledReader(written.bytes, format: format)
                reader.read(upTo: first)
                var second = AssembledReader(written.bytes, format: format)
                second.offset = reader.offset
                second.readAll()
                let found = reader.records + second.records
                #expect(found.map(\.body) == written.expected, "seed \(generator.seed) at \(first)")
                #expect(found.allSatisfy { $0.attributes["event_time"] == milliseconds })
            }
        }
    }

    @Test(arguments: ContainerFormat.allCases) func noBytesTrapAndEveryLineIsARecord(_ format: ContainerFormat) {
        for seed in [1, 2, 3] as [UInt64] { survives(format, SeededGenerator(seed: seed)) }
        survives(format, .fresh("container bytes"))
    }

    private func survives(_ format: ContainerFormat, _ generator: SeededGenerator) {
        var generator = generator
        for _ in 0..<150 {
            let bytes = generator.mutate(write(format, &generator).bytes) + [0x0A]
            var reader = AssembledReader(bytes, format: format)
            reader.maximumLine = Int.random(in: 20...200, using: &generator)
            reader.readAll()
            #expect(reader.offset == bytes.count, "seed \(generator.seed)")
            #expect(reader.records.count <= bytes.count { $0 == 0x0A }, "seed \(generator.seed)")
            #expect(zip(reader.records, reader.records.dropFirst()).allSatisfy { $0.offset <= $1.offset })
        }
    }
}
