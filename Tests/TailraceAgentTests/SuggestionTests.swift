import Testing

@testable import TailraceAgent

@Suite struct SuggestionTests {
    @Test func distanceCountsEdits() {
        func distance(_ a: String, _ b: String) -> Int { Suggestion.distance(Array(a.utf8), Array(b.utf8)) }
        #expect(distance("", "abc") == 3)
        #expect(distance("include", "include") == 0)
        #expect(distance("inlcude", "include") == 1)
        #expect(distance("kitten", "sitting") == 3)
    }

    @Test func onlyANearWordIsSuggested() {
        let keys = ["include", "exclude", "maximum_line", "start"]
        #expect(Suggestion.nearest(to: "includ", among: keys) == "include")
        #expect(Suggestion.nearest(to: "max_line", among: keys) == nil)
        #expect(Suggestion.nearest(to: "maximum-lines", among: keys) == "maximum_line")
        #expect(Suggestion.nearest(to: "poll", among: keys) == nil)
        #expect(Suggestion.nearest(to: String(repeating: "a", count: 100_000), among: keys) == nil)
    }
}
