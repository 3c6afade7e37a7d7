import TailraceSpool
import TestSupport
import Testing

@Suite struct LentBlockTests {
    /// Somebody's bytes, and whether they are still needed.
    private final class Lender {
        let bytes: UnsafeMutableRawBufferPointer
        private let onEnd: () -> Void

        init(_ text: String, onEnd: @escaping () -> Void) {
            bytes = .allocate(byteCount: text.utf8.count, alignment: 1)
            bytes.copyBytes(from: text.utf8)
            self.onEnd = onEnd
        }

        deinit {
            bytes.deallocate()
            onEnd()
        }
    }

    @Test func lentBytesAreStoredAndGivenBack() throws {
        let directory = TemporaryDirectory()
        let spool = try openSpool(configuration(directory, segment: 1 << 20, maximum: 64 << 20))
        let pool = BatchPool(blockCapacity: 16, limit: 1)
        var ended = 0
        for round in 0..<3 {
            let batch = try #require(pool.take())
            do {
                let lender = Lender("first second of round \(round)", onEnd: { ended += 1 })
                batch.lend(UnsafeRawBufferPointer(lender.bytes), by: lender)
            }
            #expect(ended == round)
            batch.append(RecordEntry(start: 0, length: 5))
            batch.append(RecordEntry(start: 6, length: 6))
            #expect([1].withUnsafeBytes { batch.copyIn($0) } == nil)
            try spool.append(batch)
            #expect(spool.flush())
            #expect(ended == round + 1)
            // Its own block is there again.
            let again = try #require(pool.take())
            #expect(again.capacity == 16)
            #expect([1, 2].withUnsafeBytes { again.copyIn($0) } == 0)
            again.recycle()
        }
        let reader = try spool.reader(from: 0)
        var bodies: [String] = []
        while let frame = try reader.next() {
            for index in 0..<frame.recordCount { bodies.append(text(frame.body(index))) }
        }
        #expect(bodies == ["first", "second", "first", "second", "first", "second"])
    }
}
