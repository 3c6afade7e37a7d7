import Glibc
import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct PathFactsTests {
    @Test func everyKindOfThingIsToldApart() {
        let directory = TemporaryDirectory()
        write("text\n", to: directory("file"))
        mkfifo(directory("pipe"), 0o600)
        symlink("file", directory("link"))
        symlink("nowhere", directory("dangling"))
        #expect(PathFacts(path: directory("file")).kind == .file)
        #expect(PathFacts(path: directory("file")).size == 5)
        #expect(PathFacts(path: directory.path).kind == .directory)
        #expect(PathFacts(path: directory("pipe")).kind == .pipe)
        #expect(PathFacts(path: "/dev/null").kind == .device)
        #expect(PathFacts(path: directory("link")).kind == .file)
        #expect(PathFacts(path: directory("link")).linkTarget == "file")
        #expect(PathFacts(path: directory("dangling")).kind == .danglingLink)
        #expect(PathFacts(path: directory("none")).kind == .missing)
        #expect(PathFacts(path: directory("file/below")).kind == .missing)
    }

    @Test func theRightThatIsMissingIsNamed() {
        func right(withoutEntering closed: Set<String>, isReadable: Bool) -> String? {
            PathFacts.missingRight(path: "/var/log/app/a.log") { path, right in
                right == X_OK ? !closed.contains(path) : isReadable
            }
        }
        #expect(right(withoutEntering: [], isReadable: true) == nil)
        #expect(right(withoutEntering: [], isReadable: false)?.hasPrefix("no right to read it") == true)
        #expect(
            right(withoutEntering: ["/var/log/app", "/var/log"], isReadable: false)
                == "no right to enter /var/log: give the agent's user x on it")
    }
}
