import Glibc
import TestSupport
import Testing

/// A page about parity against the installed reference and against our own tests.
@Suite struct ParityTests {
    struct Page: Sendable, CustomTestStringConvertible {
        let name: String
        /// Prints the names of the reference.
        let script: String
        /// As many names at least; fewer mean that the script looks in the wrong place.
        let names: Int

        static let all = [
            Page(name: "eventhubs-parity", script: "reference_api.py", names: 100),
            Page(name: "pulsar-parity", script: "pulsar_reference_api.py", names: 100),
        ]

        var testDescription: String { name }
    }

    private let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    /// The cells of the rows of the page's tables: those of four columns are about the reference.
    private func rows(_ page: Page) -> [[Substring]] {
        ChildProcess.text("\(root)/docs/\(page.name).md").split(separator: "\n")
            .filter { $0.hasPrefix("| `") }
            .map { $0.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map { $0 } }
    }

    private func quoted(_ cell: Substring) -> [String] {
        cell.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }

    @Test(arguments: Page.all) func everyPublicNameOfTheReferenceHasARow(_ page: Page) throws {
        let python = try Python()
        let child = try ChildProcess(python.interpreter, ["\(python.scripts)/\(page.script)"])
        #expect(child.wait() == .code(0), "\(child.errorOutput)")
        let names = child.output.split(separator: "\n").map(String.init)
        #expect(names.count >= page.names)
        let listed = Set(rows(page).filter { $0.count == 4 }.flatMap { quoted($0[0]) })
        #expect(names.filter { !listed.contains($0) } == [])
        #expect(listed.subtracting(names).sorted() == [])
    }

    /// A row without tests says why in the column of differences.
    @Test(arguments: Page.all) func everyRowNamesTestsThatExist(_ page: Page) throws {
        let find = try ChildProcess(
            "/bin/grep", ["-rhoE", "--include=*.swift", "func [A-Za-z0-9_]+", "\(root)/Tests"])
        #expect(find.wait() == .code(0))
        let tests = Set(find.output.split(separator: "\n").map { String($0.dropFirst("func ".count)) })
        for row in rows(page) {
            try #require(row.count == 3 || row.count == 4, "\(row)")
            let named = quoted(row[row.count - 1])
            #expect(!named.isEmpty || row[2].contains("not ported"), "no test: \(row[0])")
            #expect(named.filter { !tests.contains($0) } == [], "\(row[0])")
        }
    }
}
