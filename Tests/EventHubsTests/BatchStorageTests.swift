import NIOCore
import Testing

@testable import EventHubs

@Suite struct BatchStorageTests {
    private func address(_ buffer: ByteBuffer) -> UnsafeRawPointer? {
        buffer.withUnsafeReadableBytes { $0.baseAddress }
    }

    private func message(_ text: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(4096)
        buffer.writeString(text)
        return buffer
    }

    @Test func theOldestStorageIsUsedAgain() {
        let storage = BatchStorage()
        let places = ["a", "b"].map { text in
            let buffer = message(text)
            storage.giveBack(buffer)
            return address(buffer)
        }
        var taken = storage.take()
        #expect(taken.readableBytes == 0)
        taken.writeString("c")
        #expect(address(taken) == places[0])
        // The last one may still be in the hands of who gave it back.
        #expect(storage.take().capacity == 0)
    }

    @Test func whoKeepsABatchKeepsItsBytes() {
        let storage = BatchStorage()
        let kept = message("kept")
        // Sent twice: it is there twice.
        for _ in 0..<2 { storage.giveBack(kept) }
        storage.giveBack(message("last"))
        for _ in 0..<2 {
            var taken = storage.take()
            taken.writeString("other")
        }
        #expect(String(buffer: kept) == "kept")
    }

    @Test func whatIsKeptIsBounded() {
        let storage = BatchStorage()
        for _ in 0..<100 { storage.giveBack(message("x")) }
        var kept = 0
        while storage.take().capacity > 0 { kept += 1 }
        #expect(kept == 7)
        var large = ByteBuffer()
        large.reserveCapacity(16 << 20)
        for _ in 0..<2 { storage.giveBack(large) }
        #expect(storage.take().capacity <= 4096)
    }
}
