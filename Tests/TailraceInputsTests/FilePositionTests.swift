import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct FilePositionTests {
    private let position = FilePosition(
        identity: FileIdentity(device: 0x1_0000_0005, inode: 77, birth: 1_790_000_000_123_456_789), generation: 3,
        offset: 123_456, head: ContentHash(length: 256, value: 1), marker: ContentHash(length: 64, value: 2),
        label: "/var/log/a.log", path: "/var/log/a.log.1")

    @Test func comesBackAsItWasStored() {
        #expect(FilePosition(key: position.key, value: position.value) == position)
        var copy = position
        copy.isCopy = true
        copy.logBirth = 17
        copy.logInode = 19
        copy.seen = 18
        copy.marks.extend(to: copy.offset) { ContentHash(length: UInt16($1), value: $0) }
        #expect(copy.marks.hashes.count == ContentMarks.maximum)
        #expect(FilePosition(key: copy.key, value: copy.value) == copy)
    }

    @Test func positionsOfEarlierVersionsAreRead() {
        // They end behind the marks, or behind the path.
        for missing in [8, 26] {
            let earlier = Array(position.value.dropLast(missing))
            #expect(FilePosition(key: position.key, value: earlier) == position)
        }
    }

    @Test func keyDoesNotChangeWhileTheFileGrows() {
        var later = position
        later.offset += 1
        later.head.value = 9
        later.path = "/elsewhere"
        #expect(later.key == position.key)
    }

    @Test func anythingElseIsNoPosition() {
        #expect(FilePosition(key: SourceKey([]), value: []) == nil)
        #expect(FilePosition(key: position.key, value: []) == nil)
        #expect(FilePosition(key: SourceKey(Array("s=cursor".utf8)), value: Array("x".utf8)) == nil)
        for seed in [1, 2] as [UInt64] { decodeMutated(SeededGenerator(seed: seed)) }
        decodeMutated(.fresh("file position"))
    }

    private func decodeMutated(_ generator: SeededGenerator) {
        var generator = generator
        for _ in 0..<2000 {
            let value = generator.mutate(position.value)
            guard let decoded = FilePosition(key: position.key, value: value) else { continue }
            #expect(UInt64(decoded.head.length) <= decoded.offset)
            #expect(UInt64(decoded.marker.length) <= decoded.offset)
        }
    }
}
