import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

@Suite struct LineSplitterTests {
    private func split(_ bytes: [UInt8], maximumLine: Int = 1 << 20, capacity: Int = 65_536) -> (RecordBatch, Int) {
        let batch = RecordBatch(capacity: capacity)
        bytes.withUnsafeBytes { batch.block.copyMemory(from: $0.baseAddress!, byteCount: bytes.count) }
        let consumed = LineSplitter.split(batch, count: bytes.count, maximumLine: maximumLine)
        return (batch, consumed)
    }

    @Test func keepsEveryByteButTheNewline() {
        let (batch, consumed) = split(Array("a\r\n\n\0\u{FF}\r\n\rx\npartial".utf8))
        #expect(consumed == 12)
        #expect(
            (0..<batch.recordCount).map { Array(batch.body($0)) } == [
                Array("a\r".utf8), [], [0, 0xC3, 0xBF, 0x0D], Array("\rx".utf8),
            ])
        #expect(batch.length == consumed)
    }

    @Test func takesNothingWithoutANewline() {
        let (batch, consumed) = split(Array("abc".utf8))
        #expect(consumed == 0 && batch.recordCount == 0)
    }

    @Test func cutsALineThatIsTooLongAndTellsItsLength() {
        let (batch, consumed) = split(Array("12345\n123456\n1\n".utf8), maximumLine: 5)
        #expect(consumed == 15)
        #expect((0..<3).map { batch.records[$0].flags } == [[], .truncated, []])
        #expect(Array(batch.body(1)) == Array("12345".utf8))
        #expect(batch.attributes.map(\.record) == [1])
        let attribute = batch.attributes[0]
        var length: Int64?
        RecordAttributes.forEach(
            in: UnsafeRawBufferPointer(start: batch.block + Int(attribute.start), count: Int(attribute.length))
        ) { key, value in
            #expect(Array(key) == Array("truncated".utf8))
            if case .integer(let value) = value { length = value }
        }
        #expect(length == 6)
    }

    @Test func stopsWhenThereIsNoRoomForMoreAttributes() {
        let (batch, consumed) = split(
            Array(repeating: Array("123456\n".utf8), count: 500).joined() + [], maximumLine: 5, capacity: 8192)
        #expect(batch.recordCount > 0 && batch.recordCount < 500)
        #expect(consumed == batch.recordCount * 7)
        #expect(batch.attributes.count == batch.recordCount)
    }

    @Test func stopsAtTheMostRecordsOfABatch() {
        let (batch, consumed) = split([UInt8](repeating: 0x0A, count: 100_000), capacity: 200_000)
        #expect(batch.recordCount == LineSplitter.maximumRecords)
        #expect(consumed == LineSplitter.maximumRecords)
    }

    @Test func agreesWithANaiveSplitterOnRandomBytes() {
        for seed in [1, 2, 3] as [UInt64] { agrees(SeededGenerator(seed: seed)) }
        agrees(.fresh("splitter"))
    }

    private func agrees(_ generator: SeededGenerator) {
        var generator = generator
        for _ in 0..<300 {
            let count = Int.random(in: 1...400, using: &generator)
            let density = Int.random(in: 1...40, using: &generator)
            let bytes = (0..<count).map { _ in
                Int.random(in: 0..<density, using: &generator) == 0
                    ? 0x0A : UInt8.random(in: 0 ... .max, using: &generator)
            }
            let maximumLine = Int.random(in: 1...60, using: &generator)
            let (batch, consumed) = split(bytes, maximumLine: maximumLine)
            var expected: [[UInt8]] = []
            var line: [UInt8] = []
            var end = 0
            for (index, byte) in bytes.enumerated() {
                if byte == 0x0A {
                    expected.append(Array(line.prefix(maximumLine)))
                    line = []
                    end = index + 1
                } else {
                    line.append(byte)
                }
            }
            #expect((0..<batch.recordCount).map { Array(batch.body($0)) } == expected, "seed \(generator.seed)")
            #expect(consumed == end, "seed \(generator.seed)")
        }
    }
}
