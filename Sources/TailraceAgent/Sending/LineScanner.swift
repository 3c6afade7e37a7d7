import Glibc

/// Cuts a stream of bytes into lines where they lie: bytes are read into `room`, and lines are views of them. A line's
/// bytes are unchanged but for the newline that ended it; lines that are longer than `maximumLine` are passed over and
/// told.
final class LineScanner {
    /// A line that was passed over.
    struct TooLong: Equatable {
        /// Counted from 1.
        var number: UInt64
        var length: UInt64
    }

    /// Lines found by one `scan` at most.
    static let maximumLines = 16_384
    /// Bytes that one read may fetch.
    static let block = 1 << 20

    let maximumLine: Int
    private let bytes: UnsafeMutableRawBufferPointer
    private let index: UnsafeMutableBufferPointer<(start: Int32, length: Int32)>
    /// The first byte that is in no line yet, and the end of what was read.
    private var begin = 0
    private var end = 0
    /// Length so far of a line that is passed over.
    private var passedOver: UInt64?
    /// Lines that have ended, the ones passed over among them.
    private(set) var lines: UInt64 = 0
    private(set) var tooLong: [TooLong] = []

    init(maximumLine: Int) {
        precondition(maximumLine > 0 && maximumLine < 1 << 30)
        self.maximumLine = maximumLine
        bytes = .allocate(byteCount: maximumLine + 1 + Self.block, alignment: 16)
        index = .allocate(capacity: Self.maximumLines)
    }

    deinit {
        bytes.deallocate()
        index.deallocate()
    }

    /// Where the next bytes go; never empty after `scan` has found nothing more. Lines found before are gone.
    func room() -> UnsafeMutableRawBufferPointer {
        if begin > 0, bytes.count - end < Self.block {
            bytes.baseAddress?.copyMemory(from: bytes.baseAddress.unsafelyUnwrapped + begin, byteCount: end - begin)
            end -= begin
            begin = 0
        }
        return UnsafeMutableRawBufferPointer(rebasing: bytes[end...])
    }

    /// `count` bytes were read into `room`.
    func didRead(_ count: Int) {
        precondition(count >= 0 && count <= bytes.count - end)
        end += count
    }

    /// Finds the next whole lines and returns how many. They can be looked at until `room` is asked for. Call it until it
    /// returns 0.
    func scan() -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var found = 0
        while found < Self.maximumLines, begin < end {
            guard let newline = memchr(base + begin, 0x0A, end - begin) else { break }
            let length = UnsafeRawPointer(newline) - UnsafeRawPointer(base) - begin
            take(length, &found)
            begin += length + 1
        }
        if found < Self.maximumLines, end - begin > maximumLine {
            // No newline in more than a line may have.
            passedOver = (passedOver ?? 0) + UInt64(end - begin)
            begin = end
        }
        return found
    }

    /// At the end of the stream: 1 when its last line had no newline, and then that is line 0.
    func finish() -> Int {
        var found = 0
        if begin < end || passedOver != nil { take(end - begin, &found) }
        begin = end
        return found
    }

    /// Bytes of a line that has not ended yet.
    var unfinished: UInt64 { UInt64(end - begin) + (passedOver ?? 0) }

    private func take(_ length: Int, _ found: inout Int) {
        lines += 1
        if length > maximumLine || passedOver != nil {
            tooLong.append(TooLong(number: lines, length: (passedOver ?? 0) + UInt64(length)))
            passedOver = nil
        } else {
            index[found] = (Int32(begin), Int32(length))
            found += 1
        }
    }

    func line(_ number: Int) -> UnsafeRawBufferPointer {
        let line = index[number]
        return UnsafeRawBufferPointer(
            start: UnsafeRawPointer(bytes.baseAddress.unsafelyUnwrapped) + Int(line.start), count: Int(line.length))
    }

    /// Takes what is to be told about lines that were passed over.
    func takeTooLong() -> [TooLong] {
        defer { tooLong.removeAll() }
        return tooLong
    }
}
