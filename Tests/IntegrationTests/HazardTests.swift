import Glibc
import TestSupport
import Testing

/// The page of hazards against the list of them and against our own tests.
@Suite struct HazardTests {
    struct Section: Sendable, CustomTestStringConvertible {
        let tag: String
        /// The numbers that must have a row each. An input that lands adds its own.
        let numbers: [Int]

        static let all = [
            Section(tag: "journal", numbers: [6, 7, 38, 39, 40, 41, 42, 43, 79, 80, 81, 82]),
            Section(
                tag: "tail",
                numbers: [1, 2, 5, 13, 14, 21, 22, 23, 26, 27, 28, 29, 30, 31, 32, 33, 34, 36, 37] + Array(59...63) + [
                    65, 66, 67, 68, 69, 70,
                ]),
            Section(tag: "syslog", numbers: [12] + Array(71...78)),
        ]

        var testDescription: String { tag }
    }

    private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    private static let lines = ChildProcess.text("\(root)/docs/hazards.md").split(separator: "\n").map(String.init)

    /// The cells of the rows under `## [tag]`.
    private func rows(_ tag: String) -> [[Substring]] {
        let section = Self.lines.drop { $0 != "## [\(tag)]" }.dropFirst().prefix { !$0.hasPrefix("## ") }
        return section.filter { $0.hasPrefix("| ") }.map {
            $0.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map { $0 }
        }
        .filter { Int($0[0].filter { !$0.isWhitespace }) != nil }
    }

    @Test(arguments: Section.all) func everyHazardHasOneRow(_ section: Section) {
        let numbers = rows(section.tag).compactMap { Int($0[0].filter { !$0.isWhitespace }) }
        #expect(numbers == numbers.sorted())
        #expect(section.numbers.filter { !numbers.contains($0) } == [])
        #expect(Set(numbers).count == numbers.count)
    }

    /// Every section of the page, those that are not listed above too.
    @Test func everyRowNamesTestsThatExist() throws {
        let find = try ChildProcess(
            "/bin/grep", ["-rhoE", "--include=*.swift", "func [A-Za-z0-9_]+", "\(Self.root)/Tests"])
        #expect(find.wait() == .code(0))
        let tests = Set(find.output.split(separator: "\n").map { String($0.dropFirst("func ".count)) })
        let tags = Self.lines.filter { $0.hasPrefix("## [") }.map { String($0.dropFirst(4).prefix { $0 != "]" }) }
        #expect(Section.all.allSatisfy { tags.contains($0.tag) })
        for tag in tags {
            for row in rows(tag) {
                try #require(row.count == 4, "\(row)")
                let named = row[3].split(separator: "`", omittingEmptySubsequences: false).enumerated()
                    .filter { $0.offset % 2 == 1 }.map { String($0.element) }
                #expect(!named.isEmpty, "no test: [\(tag)] \(row[0])")
                #expect(named.filter { !tests.contains($0) } == [], "[\(tag)] \(row[0])")
            }
        }
    }
}
