import TestSupport
import Testing

@testable import Transports

@Suite struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(Array(text.utf8)) }

    @Test func everyKindOfValueIsRead() throws {
        let text = #"""
             {"a": 1, "b" : "x\n\"\u00e9\ud83d\ude00\/", "c":[true,false,null,-1.5e3,[]], "d":{}, "e":"12"}
            """#
        let value = try parse(text)
        #expect(value["a"]?.integer == 1)
        #expect(value["b"]?.text == "x\n\"é😀/")
        #expect(value["c"] == .array([.boolean(true), .boolean(false), .null, .number("-1.5e3"), .array([])]))
        #expect(value["d"] == .object([:]))
        #expect(value["e"]?.integer == 12)
        #expect(value["f"] == nil)
        #expect(JSONValue.number("3599.0").integer == 3599)
        #expect(JSONValue.number("1e300").integer == nil)
        #expect(JSONValue.string("09/14/2017").integer == nil)
    }

    @Test func whatIsNoJSONIsRefused() {
        for bad in [
            "", " ", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1", "[1,]", "[1 2]", "\"", "\"\\x\"", "\"\\u12\"",
            "\"\\ud83d\"", "\"\\udc00\"", "\"\\ud83d\\u0041\"", "tru", "nul", "-", "1.2.3", "1 2", "{} x", "\"a\nb\"",
            "{'a':1}",
        ] {
            #expect(throws: JSONValue.Malformed.self, "\(bad)") { try parse(bad) }
        }
        #expect(throws: JSONValue.Malformed.self) { try JSONValue([0x22, 0xFF, 0x22]) }
    }

    @Test func depthIsBounded() throws {
        let limit = JSONValue.depthLimit
        _ = try parse(String(repeating: "[", count: limit) + String(repeating: "]", count: limit))
        #expect(throws: JSONValue.Malformed.self) { try parse(String(repeating: "[", count: 100_000)) }
        #expect(throws: JSONValue.Malformed.self) { try parse(String(repeating: "{\"a\":", count: 100_000)) }
    }

    @Test func mutatedTextsNeverTrap() {
        let sample = Array(#"{"token_type":"Bearer","expires_in":3599,"x":["\ud83d\ude00",null,true,-1.5e3]}"#.utf8)
        for var generator in [SeededGenerator(seed: 21), .fresh("JSON")] {
            for _ in 0..<5000 {
                guard let value = try? JSONValue(generator.mutate(sample)) else { continue }
                if let seconds = value["expires_in"]?.integer { #expect(seconds.magnitude <= UInt64(Int64.max)) }
            }
        }
    }
}
