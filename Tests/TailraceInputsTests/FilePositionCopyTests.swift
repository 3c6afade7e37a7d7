import TestSupport
import Testing

@testable import TailraceInputs

/// Whether content is a copy of what was read of a log, and where what is new in it begins.
@Suite struct FilePositionCopyTests {
    /// The position of a log that was read up to `offset`, in steps.
    private func position(in content: [UInt8], at offset: Int, steps: [Int] = []) -> FilePosition {
        func hash(_ from: UInt64, _ length: Int) -> ContentHash? { Self.hash(content, from, length) }
        let head = min(offset, FilePosition.maximumHead), marker = min(offset, FilePosition.maximumMarker)
        var position = FilePosition(
            identity: FileIdentity(device: 1, inode: 2, birth: 3), generation: 0, offset: UInt64(offset),
            head: hash(0, head) ?? .empty, marker: hash(UInt64(offset - marker), marker) ?? .empty, label: "/a.log",
            path: "/a.log")
        for step in steps + [offset] where step <= offset { position.marks.extend(to: UInt64(step), hash: hash) }
        return position
    }

    private static func hash(_ content: [UInt8], _ from: UInt64, _ length: Int) -> ContentHash? {
        let from = Int(from)
        guard from + length <= content.count else { return nil }
        return content[from..<(from + length)].withUnsafeBytes { ContentHash(of: $0) }
    }

    private func copy(_ content: [UInt8], of position: FilePosition) -> FilePosition.Copy? {
        position.copy(ofSize: UInt64(content.count)) { Self.hash(content, $0, $1) }
    }

    private func lines(_ count: Int, _ word: String = "line") -> [UInt8] {
        (0..<count).flatMap { Array("\(word) \($0) of the log\n".utf8) }
    }

    @Test func aCopyGoesOnWhereTheLogWasRead() {
        let content = lines(1000)
        for offset in [1, 63, 64, 65, 255, 256, 257, 5000, content.count] {
            let position = position(in: content, at: offset)
            for size in [offset, offset + 1, content.count] where size <= content.count && size >= offset {
                #expect(copy(Array(content[..<size]), of: position)?.offset == UInt64(offset))
            }
        }
    }

    @Test func nothingIsNewInACopyThatIsShorterThanWhatWasRead() {
        let content = lines(2000)
        let position = position(in: content, at: content.count)
        for size in stride(from: 257, to: content.count, by: 97) {
            #expect(copy(Array(content[..<size]), of: position)?.offset == UInt64(size))
        }
        // With less to compare it is no proof, and a line that comes twice is better than one that is lost.
        let short = self.position(in: content, at: 5000)
        for size in 0..<64 { #expect(copy(Array(content[..<size]), of: short) == nil) }
        #expect(copy(Array(content[..<64]), of: short) == FilePosition.Copy(offset: 64, proven: 64))
    }

    @Test func equalBeginningsAreNoProof() {
        let banner = Array(String(repeating: "# banner\n", count: 60).utf8)
        let position = position(in: banner + lines(1000), at: 20_000)
        #expect(copy(banner + lines(200, "other"), of: position) == nil)
        #expect(copy(banner + lines(5000, "other"), of: position) == nil)
        #expect(copy(lines(1000), of: position) == nil)
        #expect(copy([], of: position) == nil)
        #expect(copy(banner, of: self.position(in: banner, at: 0)) == nil)
    }

    @Test func everyChangeBeforeTheLastMarkedPlaceIsSeenThere() {
        let content = lines(500)
        let position = position(in: content, at: content.count)
        var other = Array(content[..<6000])
        #expect(copy(other, of: position)?.proven == 4096)
        for place in [0, 255, 500, 1000, 2047, 4095] {
            other[place] ^= 1
            #expect(copy(other, of: position) == nil)
            other[place] ^= 1
        }
    }

    @Test func marksAreTheSameInWhateverStepsTheLogWasRead() {
        var generator = SeededGenerator.fresh("marks")
        let content = lines(3000)
        for _ in 0..<50 {
            let offset = Int.random(in: 0...content.count, using: &generator)
            let steps = (0..<Int.random(in: 0...20, using: &generator)).map { _ in
                Int.random(in: 0...offset, using: &generator)
            }
            let gradual = position(in: content, at: offset, steps: steps.sorted())
            #expect(gradual == position(in: content, at: offset))
            #expect(gradual.marks.hashes.count <= ContentMarks.maximum)
            #expect(FilePosition(key: gradual.key, value: gradual.value) == gradual)
        }
    }

    @Test func marksBeyondTheOffsetAreNone() {
        #expect(ContentMarks(hashes: [1], exponent: 7, offset: 127) == nil)
        #expect(ContentMarks(hashes: [1], exponent: 7, offset: 128) != nil)
        #expect(ContentMarks(hashes: [1, 2, 3], exponent: 7, offset: 1000) == nil)
        #expect(ContentMarks(hashes: [1], exponent: 64, offset: .max) == nil)
        #expect(ContentMarks(hashes: Array(repeating: 1, count: 9), exponent: 20, offset: .max) == nil)
    }
}
