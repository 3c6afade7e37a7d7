import TailraceInputs
import TestSupport
import Testing

@Suite struct PatternTests {
    private func find(_ pattern: String, _ text: some Collection<UInt8>) throws -> PatternMatcher.Finding {
        let matcher = PatternMatcher(try Pattern(pattern))
        return Array(text).withUnsafeBytes { matcher.find(in: $0) }
    }

    @Test func findsAnywhereUnlessAnchored() throws {
        #expect(try find("b+", "abbc".utf8) == .found)
        #expect(try find("^b", "abbc".utf8) == .notFound)
        #expect(try find("^$", "".utf8) == .found)
        #expect(try find(#"^\d{4}-\d\d"#, "2026-11-21 x".utf8) == .found)
        #expect(try find("(?i)ERROR", "an error".utf8) == .found)
    }

    @Test func bytesAreBytesUnlessThePatternSaysUTF() throws {
        #expect(try find("^.$", [0xFF]) == .found)
        #expect(try find("^..$", "é".utf8) == .found)
        #expect(try find("(*UTF)^.$", "é".utf8) == .found)
        #expect(try find(#"\x00"#, [0x41, 0, 0x42]) == .found)
        // What is not UTF-8 is passed over.
        #expect(try find("(*UTF)é", [0xFF, 0xC3, 0xA9]) == .found)
    }

    @Test func groupsTellWhereTheyLie() throws {
        let matcher = PatternMatcher(try Pattern(#"(\w+)=(\d+)|(never)"#))
        #expect(matcher.pattern.groups == 3)
        #expect(matcher.group(0) == nil)
        Array("  ab=12".utf8).withUnsafeBytes { #expect(matcher.find(in: $0) == .found) }
        #expect(matcher.group(0) == 2..<7 && matcher.group(1) == 2..<4 && matcher.group(2) == 5..<7)
        #expect(matcher.group(3) == nil && matcher.group(4) == nil && matcher.group(-1) == nil)
    }

    @Test func aWrongPatternSaysWhereAndWhy() throws {
        #expect(throws: PatternError.self) { try Pattern("ab(c") }
        do throws(PatternError) {
            _ = try Pattern("ab(c")
        } catch {
            #expect(error.kind == .syntax(offset: 4))
            #expect("\(error)" == "missing closing parenthesis, at byte 4")
        }
        #expect(throws: PatternError.self) { try Pattern(String(repeating: "a", count: 20_000)) }
        #expect(throws: PatternError.self) { try Pattern(#"a\Cb"#) }
    }

    @Test func aPatternThatWouldTakeForEverGivesUp() throws {
        let text = [UInt8](repeating: 0x61, count: 40) + [0x21]
        #expect(try find("^(a+)+$", text) == .gaveUp)
        #expect(try find("(?:a|aa)+$", text) == .gaveUp)
        // Its own steps are few for each beginning; it is the beginnings that are many.
        let digits = [UInt8](repeating: 0x31, count: 4 << 20)
        #expect(try find(#"\d+[xyz]oo"#, digits) == .gaveUp)
        // The same patterns find what is there.
        #expect(try find("^(a+)+$", [UInt8](repeating: 0x61, count: 40)) == .found)
        #expect(try find(#"\d+[xyz]oo"#, Array(digits.prefix(1 << 16)) + Array("yoo".utf8)) == .found)
    }

    @Test func longSubjectsAreSearchedToTheirEnd() throws {
        var bytes = [UInt8](repeating: 0x78, count: 3 << 20)
        #expect(try find("needle", bytes) == .notFound)
        for place in [0, 511, 512, 513, 2560, 2561, 1 << 20, bytes.count - 6] {
            bytes.replaceSubrange(place..<(place + 6), with: Array("needle".utf8))
            let matcher = PatternMatcher(try Pattern("n(?:e+)dle"))
            bytes.withUnsafeBytes { #expect(matcher.find(in: $0) == .found) }
            #expect(matcher.group(0) == place..<(place + 6))
            bytes.replaceSubrange(place..<(place + 6), with: [UInt8](repeating: 0x78, count: 6))
        }
    }

    @Test func theSearchGoesOnBehindAMatch() throws {
        let matcher = PatternMatcher(try Pattern("a*"))
        var budget = PatternBudget()
        var found: [Range<Int>] = []
        Array("baac".utf8).withUnsafeBytes { bytes in
            var at = 0
            var notEmpty = false
            while at <= bytes.count, matcher.find(in: bytes, from: at, notEmpty: notEmpty, budget: &budget) == .found {
                guard let range = matcher.group(0) else { break }
                found.append(range)
                at = range.upperBound
                notEmpty = true
            }
        }
        #expect(found == [0..<0, 1..<3, 4..<4])
    }

    @Test func threadsShareAPatternAndNotAMatcher() async throws {
        let pattern = try Pattern(#"(\d+)-(\d+)"#)
        let wrong = await withTaskGroup(of: Int.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    let matcher = PatternMatcher(pattern)
                    return (0..<2000).count { number in
                        let text = Array("\(thread)-\(number)".utf8)
                        return !text.withUnsafeBytes { bytes in
                            matcher.find(in: bytes) == .found && matcher.group(0) == 0..<bytes.count
                        }
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }

    @Test func noPatternAndNoBytesTrap() {
        for seed in [1, 2, 3] as [UInt64] { survives(SeededGenerator(seed: seed)) }
        survives(.fresh("patterns"))
    }

    private func survives(_ generator: SeededGenerator) {
        var generator = generator
        let pieces = [
            "a", "b", "(", ")", "[", "]", "^", "$", "*", "+", "?", "{2,3}", "|", ".", "\\d", "\\K", "(?=", "(?<=",
            "\\1",
            "(?R)", "(*UTF)", "(*COMMIT)", "(?i)", "\\x{ff}", "é", "-", "\\Q", "\\G", "(*F)", "(?C1)", "(?|", "{", ",}",
        ]
        var compiled = 0
        for _ in 0..<400 {
            let text = (0..<Int.random(in: 0...9, using: &generator))
                .map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            guard let pattern = try? Pattern(text) else { continue }
            compiled += 1
            let matcher = PatternMatcher(pattern)
            let bytes = (0..<Int.random(in: 0...700, using: &generator)).map { _ in
                Bool.random(using: &generator) ? UInt8(ascii: "a") : UInt8.random(in: 0 ... .max, using: &generator)
            }
            let start = Int.random(in: 0...bytes.count, using: &generator)
            var budget = PatternBudget()
            bytes.withUnsafeBytes { bytes in
                guard matcher.find(in: bytes, from: start, notEmpty: true, budget: &budget) == .found else { return }
                for group in 0...pattern.groups {
                    if let range = matcher.group(group) { #expect(range.upperBound <= bytes.count, "\(text)") }
                }
            }
        }
        #expect(compiled > 50, "seed \(generator.seed)")
    }
}
