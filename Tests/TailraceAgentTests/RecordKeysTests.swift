import TailraceInputs
import TailraceSpool
import Testing

@testable import TailraceAgent

/// What a configuration says about the records of an input, from its text to a batch.
@Suite struct RecordKeysTests {
    private func input(_ lines: String) throws -> InputSettings {
        let text =
            "[input.app]\ntype = \"file\"\ninclude = [\"/var/log/app/*.log\"]\n" + lines + "\n"
            + ConfigurationTests.outputLines
        return try #require(try ConfigurationLoader.parse(Array(text.utf8), file: "t.toml").inputs.first)
    }

    private func file(_ lines: String) throws -> FileInputSettings? {
        if case .file(let settings) = try input(lines).kind { settings } else { nil }
    }

    @Test func everyKeyIsRead() throws {
        let input = try input(
            """
            keep = ['ERROR', 'WARN']
            drop = ["health"]
            sample = 0.25
            fields = { team = "ops", "dotted.name" = "x" }
            redact = [
                { pattern = '(password=)\\S+', replace = '$1***' },
                { pattern = 'token' },
            ]
            """)
        var rules = RecordFilterRules()
        rules.keep = [try Pattern("ERROR"), try Pattern("WARN")]
        rules.drop = [try Pattern("health")]
        rules.sample = 0.25
        let password = try Pattern(#"(password=)\S+"#)
        rules.redact = [
            RedactionRule(password, try #require(Replacement("$1***", groups: 1))),
            RedactionRule(try Pattern("token"), try #require(Replacement("***", groups: 0))),
        ]
        #expect(input.filter == rules)
        #expect(input.fields == [.init("team", "ops"), .init("dotted.name", "x")])
    }

    @Test func linesMakeRecordsInEveryWay() throws {
        #expect(try file("")?.multiline == nil)
        var start = MultilineRules(.start(try Pattern(#"^\d{4}-"#)))
        #expect(try file(#"multiline = { start = '^\d{4}-' }"#)?.multiline == start)
        start.maximumLines = 7
        start.timeout = .milliseconds(250)
        #expect(
            try file(#"multiline = { start = '^\d{4}-', maximum_lines = 7, timeout = "250ms" }"#)?.multiline == start)
        #expect(try file("multiline = { end = ';$' }")?.multiline == MultilineRules(.end(try Pattern(";$"))))
        #expect(try file("multiline = { indent = true }")?.multiline == MultilineRules(.indent))
        #expect(try file("multiline = \"indent\"")?.multiline == MultilineRules(.indent))
        #expect(try file("multiline = \"java\"")?.multiline == MultilineRules(.trace(try .java())))
        #expect(try file("multiline = { trace = \"python\" }")?.multiline == MultilineRules(.trace(try .python())))
        #expect(try file("multiline = \"go\"")?.multiline == MultilineRules(.trace(try .go())))
        #expect(try file("format = \"docker-json\"")?.format == .dockerJSON)
        #expect(try file("format = \"cri\"")?.format == .cri)
    }

    @Test func nothingConfiguredIsNoFilter() throws {
        #expect(InputFilter(try input("")) == nil)
        #expect(InputFilter(try input("sample = 1")) == nil)
    }

    /// A batch may still be on its way to the filter before.
    @Test func aFilterTakesThePlaceOfAnother() throws {
        let first = try #require(InputFilter(try input("keep = ['a']")))
        let second = try #require(InputFilter(try input("keep = ['b']\nfields = { team = \"ops\" }")))
        func pass(_ text: String, by filter: InputFilter) -> RecordBatch {
            let batch = RecordBatch(capacity: 4096)
            Array(text.utf8).withUnsafeBytes { bytes in
                if let start = batch.copyIn(bytes) {
                    batch.append(RecordEntry(start: start, length: UInt32(bytes.count)))
                }
            }
            batch.context = RecordContext(host: "h", source: "s", input: "app").encoded
            filter.apply(to: batch)
            return batch
        }
        #expect(pass("a", by: first).recordCount == 1)
        #expect(pass("b", by: first).recordCount == 0)
        second.goOn(from: first)
        #expect(second.counts.filtered == 1)
        #expect(pass("a", by: first).recordCount == 0)
        #expect(pass("b", by: first).recordCount == 1)
        #expect(pass("c", by: second).recordCount == 0)
        #expect(second.counts.filtered == 3)
        let nothing = InputFilter()
        nothing.goOn(from: second)
        #expect(pass("c", by: first).recordCount == 1)
        #expect(nothing.counts.filtered == 3)
    }

    @Test func fieldsReachEveryRecordOfEverySection() throws {
        let filter = try #require(InputFilter(try input("fields = { team = \"ops\" }")))
        let batch = RecordBatch(capacity: 4096)
        batch.append(RecordEntry(start: 0, length: 0))
        batch.context = RecordContext(host: "h", source: "s", input: "app").encoded
        filter.apply(to: batch)
        let context = batch.context.withUnsafeBytes { RecordContext(decoding: $0) }
        #expect(context == RecordContext(host: "h", source: "s", input: "app", fields: [.init("team", "ops")]))
        for peer in ["a", "b"] {
            batch.append(RecordEntry(start: 0, length: 0))
            batch.closeSection(
                context: RecordContext(host: peer, source: "s", input: "app", fields: [.init("peer", peer)]).encoded)
        }
        filter.apply(to: batch)
        let hosts = batch.sections.compactMap { section in
            section.context.withUnsafeBytes { RecordContext(decoding: $0) }
        }
        #expect(hosts.map(\.host) == ["a", "b"])
        #expect(hosts.map(\.fields) == ["a", "b"].map { [.init("peer", $0), .init("team", "ops")] })
    }
}
