import Glibc
import TestSupport
import Testing

/// The pages of hazards and of promises against the list of hazards and against our own tests.
@Suite struct HazardTests {
    struct Section: Sendable, CustomTestStringConvertible {
        let page: Page
        let tag: String
        /// The numbers that must have a row each. An input that lands adds its own.
        let numbers: [Int]

        static let all = [
            Section(page: .hazards, tag: "journal", numbers: [6, 7, 38, 39, 40, 41, 42, 43, 79, 80, 81, 82]),
            Section(
                page: .hazards, tag: "tail",
                numbers: [1, 2, 5, 13, 14, 21, 22, 23, 26, 27, 28, 29, 30, 31, 32, 33, 34, 36, 37] + Array(59...63) + [
                    65, 66, 67, 68, 69, 70,
                ]),
            Section(page: .hazards, tag: "syslog", numbers: [12] + Array(71...78)),
            Section(page: .hazards, tag: "ops", numbers: [9, 18, 19, 84, 86, 95, 96, 98]),
            Section(page: .promises, tag: "spool", numbers: [3, 15, 16, 17, 24, 50, 88, 89, 90, 91]),
            Section(
                page: .promises, tag: "send",
                numbers: [4, 8, 10, 11, 20, 25, 47, 48, 49] + Array(51...58) + [99]),
        ]

        var testDescription: String { tag }
    }

    /// One of the pages, as its tables.
    struct Page: Sendable {
        static let hazards = Page("hazards")
        static let promises = Page("promises")

        let name: String
        private let lines: [String]

        private init(_ name: String) {
            self.name = name
            lines = ChildProcess.text("\(HazardTests.root)/docs/\(name).md").split(separator: "\n").map(String.init)
        }

        /// In the titles of sections.
        var tags: [String] {
            lines.filter { $0.hasPrefix("## [") }.map { String($0.dropFirst(4).prefix { $0 != "]" }) }
        }

        /// The cells of the numbered rows below `title`.
        func rows(below title: String) -> [[Substring]] {
            let section = lines.drop { $0 != "## \(title)" }.dropFirst().prefix { !$0.hasPrefix("## ") }
            return section.filter { $0.hasPrefix("| ") }.map {
                $0.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map { $0 }
            }
            .filter { HazardTests.numbers($0[0]).count == 1 }
        }
    }

    static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    private static func numbers(_ cell: Substring) -> [Int] {
        let words = cell.split(separator: ",").map { $0.filter { !$0.isWhitespace } }
        let numbers = words.compactMap { Int($0) }
        return numbers.count == words.count ? numbers : []
    }

    /// What is in backquotes.
    private static func quoted(_ cell: Substring) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
            .map { String($0.element) }
    }

    /// The names of all functions of the tests.
    private static func functions() throws -> Set<String> {
        let find = try ChildProcess("/bin/grep", ["-rhoE", "--include=*.swift", "func [A-Za-z0-9_]+", "\(root)/Tests"])
        #expect(find.wait() == .code(0))
        return Set(find.output.split(separator: "\n").map { String($0.dropFirst("func ".count)) })
    }

    @Test(arguments: Section.all) func everyHazardHasOneRow(_ section: Section) {
        let numbers = section.page.rows(below: "[\(section.tag)]").flatMap { Self.numbers($0[0]) }
        #expect(numbers == numbers.sorted())
        #expect(section.numbers.filter { !numbers.contains($0) } == [])
        #expect(Set(numbers).count == numbers.count)
    }

    /// Every section of the pages, those that are not listed above too.
    @Test func everyRowNamesTestsThatExist() throws {
        let tests = try Self.functions()
        #expect(Section.all.allSatisfy { $0.page.tags.contains($0.tag) })
        for page in [Page.hazards, .promises] {
            for tag in page.tags {
                for row in page.rows(below: "[\(tag)]") {
                    try #require(row.count == 4, "\(row)")
                    let named = Self.quoted(row[3])
                    #expect(!named.isEmpty, "no test: [\(tag)] \(row[0])")
                    #expect(named.filter { !tests.contains($0) } == [], "[\(tag)] \(row[0])")
                }
            }
        }
    }

    /// Ten, in order; each has tests, among them one of real processes, and all hazards of spool and delivery belong to one.
    @Test func everyPromiseIsProved() throws {
        let tests = try Self.functions()
        let rows = Page.promises.rows(below: "The promises")
        #expect(rows.flatMap { Self.numbers($0[0]) } == Array(1...10))
        let known = Set(
            [Page.hazards, .promises].flatMap { page in
                page.tags.flatMap { page.rows(below: "[\($0)]") }.flatMap { Self.numbers($0[0]) }
            })
        var answered: Set<Int> = []
        for row in rows {
            try #require(row.count == 7, "\(row)")
            #expect(row.allSatisfy { $0.contains { !$0.isWhitespace } }, "promise \(row[0])")
            let hazards = Self.numbers(row[3])
            #expect(!hazards.isEmpty && known.isSuperset(of: hazards), "promise \(row[0]): \(row[3])")
            answered.formUnion(hazards)
            for cell in [row[4], row[6]] {
                let named = Self.quoted(cell)
                #expect(!named.isEmpty, "no test: promise \(row[0])")
                #expect(named.filter { !tests.contains($0) } == [], "promise \(row[0])")
            }
        }
        let open = Section.all.filter { $0.page.name == "promises" }.flatMap(\.numbers).filter {
            !answered.contains($0)
        }
        #expect(open == [])
    }

    /// Of the bugs that the simulated worlds found: the tests exist, and so do the seeds that are kept.
    @Test func everyBugThatAWorldFoundHasItsSeedsAndTests() throws {
        let tests = try Self.functions()
        let lines = ChildProcess.text("\(Self.root)/docs/promises.md").split(separator: "\n")
        let rows = lines.drop { $0 != "## Bugs that the worlds found" }.dropFirst().prefix { !$0.hasPrefix("## ") }
            .filter { $0.hasPrefix("| ") }.dropFirst()
            .map { $0.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map { $0 } }
        let found = ["WorldTests", "WireWorldTests", "PulsarWorldTests"].flatMap { suite in
            ChildProcess.text("\(Self.root)/Tests/CrashTests/\(suite).swift").split(separator: "\n")
                .drop { !$0.contains("static let found") }.dropFirst()
                .prefix { !$0.hasSuffix("]") }.filter { !$0.contains("//") }
                .flatMap { $0.split(separator: ",").compactMap { Int($0.filter(\.isNumber)) } }
        }
        #expect(rows.count > 5 && found.count > 5)
        for row in rows {
            try #require(row.count == 3, "\(row)")
            let seeds = Self.numbers(row[1])
            #expect(Set(found).isSuperset(of: seeds), "\(row[1])")
            let named = Self.quoted(row[2])
            #expect(!named.isEmpty && named.allSatisfy { tests.contains($0) }, "\(row[2])")
        }
    }
}
