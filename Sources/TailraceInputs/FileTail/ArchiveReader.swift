import Glibc
internal import TailraceSpool

/// The content of a compressed log as it is read: what has been made of it and is not yet passed on.
final class ArchiveReader {
    private let stream: GzipStream
    /// The bytes from `start` on: some before the position, for its marker, and those that are not passed on yet.
    private(set) var window: [UInt8] = []
    private(set) var start: UInt64 = 0
    var end: UInt64 { start + UInt64(window.count) }
    /// The content up to the position is that of the file that was read.
    var isChecked = false
    /// The beginning of a line too long for a batch, whether that is all of it, and its length so far.
    var longLine: (kept: [UInt8], isCut: Bool, length: UInt64)?

    init(descriptor: Int32) { stream = GzipStream(descriptor: descriptor) }

    /// Makes up to `count` bytes more.
    func extend(by count: Int) -> GzipStream.Outcome {
        var outcome = GzipStream.Outcome.waiting
        let old = window.count
        window.append(contentsOf: repeatElement(0, count: count))
        window.withUnsafeMutableBytes { bytes in
            outcome = stream.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[old...]))
        }
        let made = if case .bytes(let made) = outcome { made } else { 0 }
        window.removeLast(count - made)
        return outcome
    }

    /// Forgets what is not needed for a position at `offset`.
    func drop(before offset: UInt64) {
        let keep = offset - min(offset, UInt64(FilePosition.maximumMarker))
        guard keep > start else { return }
        let count = min(Int(clamping: keep - start), window.count)
        window.removeFirst(count)
        start += UInt64(count)
    }

    /// Nil when those bytes are not at hand.
    func hash(from offset: UInt64, length: Int) -> ContentHash? {
        guard offset >= start, offset + UInt64(length) <= end else { return nil }
        let from = Int(offset - start)
        return window.withUnsafeBytes { ContentHash(of: UnsafeRawBufferPointer(rebasing: $0[from..<(from + length)])) }
    }
}
