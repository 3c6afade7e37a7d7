import TailraceSpool
import Testing

@Suite struct RecordContextTests {
    @Test func whatWasEncodedIsDecoded() {
        let context = RecordContext(
            host: "web-1", source: "/var/log/ä.log", input: "app", fields: [.init("team", "ops"), .init("empty", "")])
        let decoded = context.encoded.withUnsafeBytes { RecordContext(decoding: $0) }
        #expect(decoded == context)
    }

    @Test func tooManyFieldsAndTooLongOnesAreCut() {
        var context = RecordContext(host: "h", source: String(repeating: "s", count: 70_000), input: "i")
        context.fields = (0..<300).map { .init("field-\($0)", "value") }
        let decoded = context.encoded.withUnsafeBytes { RecordContext(decoding: $0) }
        #expect(decoded?.source.utf8.count == 65_535)
        #expect(decoded?.fields == Array(context.fields.prefix(RecordContext.maximumFields)))
    }

    @Test func theOnlyOutputIsNoPropertyAndIsKeptWithAllOfThem() {
        var context = RecordContext(host: "h", source: "s", input: "i", onlyOutput: "hub")
        context.fields = (0..<RecordContext.maximumFields).map { .init("field-\($0)", "value") }
        #expect(context.encoded.withUnsafeBytes { RecordContext(decoding: $0) } == context)
        #expect(!context.properties.contains { $0.1 == "hub" })
    }

    /// Bytes of a damaged disk, or of a later version.
    @Test func anyPrefixIsAContextOrNone() {
        let bytes = RecordContext(host: "h", source: "s", input: "i", fields: [.init("k", "v")]).encoded
        for end in 0..<bytes.count {
            #expect(bytes[..<end].withUnsafeBytes { RecordContext(decoding: $0) } == nil)
        }
    }
}
