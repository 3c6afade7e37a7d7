import Glibc
internal import TailraceSpool

/// The content of a compressed log as it is read: what has been made of it and is not yet passed on.
final class ArchiveReader {
    private let stream: GzipStream
    /// The bytes from `start` on: some before the position, for its marker, and those that are not passed on yet.
    private(set) var window: [UInt8] = []
    private(set) var start: UInt64 = 0
    var end: UInt64 { start + UInt64(window.count) }
    /// The first bytes of the content, and hashes of it where a position may have a mark: before the powers of two.
    private var beginning: [UInt8] = []
    private var marks: [ContentHash] = []
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
        if beginning.count < FilePosition.maximumHead {
            beginning += window[old...].prefix(FilePosition.maximumHead - beginning.count)
        }
        while let mark = hash(from: nextMark - UInt64(ContentMarks.length), length: ContentMarks.length) {
            marks.append(mark)
        }
        return outcome
    }

    /// Makes more until there are so many bytes, or no more come.
    func extend(to length: Int) -> GzipStream.Outcome {
        var outcome = GzipStream.Outcome.bytes(0)
        while end < UInt64(length), case .bytes = outcome { outcome = extend(by: length - Int(end)) }
        return outcome
    }

    private var nextMark: UInt64 { UInt64(ContentMarks.length) << UInt64(marks.count) }

    /// Whether the content is what was read up to the position, as far as it has been made.
    ///
    /// - Parameter isWhole: there is no more of it. When that is less than what was read, a mark must prove it.
    func agrees(with position: FilePosition, isWhole: Bool) -> Bool {
        let length = Int(position.head.length)
        guard length > 0 else { return false }
        if isWhole, end < position.offset {
            return position.copy(ofSize: end) { hash(from: $0, length: $1) } != nil
        }
        return hash(from: 0, length: length) == position.head
            && position.marks.agree(within: end) { hash(from: $0, length: $1) }
    }

    /// Forgets what is not needed for a position at `offset`.
    func drop(before offset: UInt64) {
        let keep = offset - min(offset, UInt64(FilePosition.maximumMarker))
        guard keep > start else { return }
        let count = min(Int(clamping: keep - start), window.count)
        window.removeFirst(count)
        start += UInt64(count)
    }

    /// Nil when nothing is kept of those bytes.
    func hash(from offset: UInt64, length: Int) -> ContentHash? {
        if offset >= start, offset + UInt64(length) <= end {
            let from = Int(offset - start)
            return window.withUnsafeBytes {
                ContentHash(of: UnsafeRawBufferPointer(rebasing: $0[from..<(from + length)]))
            }
        }
        if offset == 0, length <= beginning.count {
            return beginning.withUnsafeBytes { ContentHash(of: UnsafeRawBufferPointer(rebasing: $0[..<length])) }
        }
        let place = offset + UInt64(length), first = UInt64(ContentMarks.length)
        guard length == ContentMarks.length, place < nextMark, place.nonzeroBitCount == 1 else { return nil }
        return marks[place.trailingZeroBitCount - first.trailingZeroBitCount]
    }
}
