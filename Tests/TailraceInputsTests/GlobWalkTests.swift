import Glibc
import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct GlobWalkTests {
    private let directory = TemporaryDirectory("walk")

    private func make(_ names: String...) {
        for name in names {
            var parent = ""
            for part in name.split(separator: "/").dropLast() {
                parent += (parent.isEmpty ? "" : "/") + part
                mkdir(directory(parent), 0o755)
            }
            close(open(directory(name), O_WRONLY | O_CREAT, 0o644))
        }
    }

    private func count(_ include: [String], exclude: [String] = []) throws -> Int {
        let patterns = try include.map { try #require(GlobPattern(directory($0))) }
        return GlobWalk(include: patterns, exclude: exclude.map { ExcludePattern($0) }).files
    }

    @Test func matchingFilesAreCountedOnce() throws {
        make("a.log", "b.log", "b.log.gz", "c.txt", "x/d.log", "x/y/e.log", "x/y/f.gz", ".hidden.log")
        #expect(try count(["*.log"]) == 2)
        #expect(try count(["**/*.log"]) == 4)
        #expect(try count(["*.log", "a.*", "**/*.log"]) == 4)
        #expect(try count(["**/*"], exclude: ["*.gz"]) == 5)
        #expect(try count(["x/*/e.log"]) == 1)
        #expect(try count(["nowhere/*.log"]) == 0)
        #expect(try count(["a.log"]) == 1)
    }

    @Test func linksInCirclesEnd() throws {
        make("x/a.log")
        symlink(directory("x"), directory("x/loop"))
        #expect(try count(["**/a.log"]) >= 1)
    }
}
