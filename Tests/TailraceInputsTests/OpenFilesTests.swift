import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct OpenFilesTests {
    private func file(_ number: Int) -> TailedFile {
        let identity = FileIdentity(device: 1, inode: UInt64(number), birth: 0)
        return TailedFile(
            identity: identity, keyIdentity: identity, input: 0, age: 0, directory: WatchedDirectory(path: "/logs"),
            name: "\(number).log")
    }

    /// Beside an array of which everything is known.
    @Test(arguments: 0..<4) func theOneLongestNotLookedAtIsTheFirst(_ round: Int) {
        var random = SeededGenerator(seed: UInt64(round))
        let files = (0..<8).map(file)
        var open = OpenFiles()
        var expected: [TailedFile] = []
        for _ in 0..<2000 {
            let file = files[Int.random(in: 0..<files.count, using: &random)]
            expected.removeAll { $0 === file }
            if Bool.random(using: &random) {
                open.append(file)
                expected.append(file)
            } else {
                open.remove(file)
            }
            #expect(open.count == expected.count && open.map(\.name) == expected.map(\.name))
        }
        for file in files { open.remove(file) }
        #expect(open.count == 0 && open.first { _ in true } == nil)
    }

    /// Nothing in the list keeps a file that left it, nor one that is in it once the list is gone.
    @Test func filesGoWithTheList() {
        weak var first: TailedFile?
        weak var second: TailedFile?
        do {
            var open = OpenFiles()
            let (one, other) = (file(1), file(2))
            (first, second) = (one, other)
            open.append(one)
            open.append(other)
            open.append(one)
        }
        #expect(first == nil && second == nil)
    }
}
