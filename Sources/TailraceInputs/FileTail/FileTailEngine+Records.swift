import Glibc
internal import TailraceSpool

/// Records of several lines, and those of containers: what is read and not passed on yet is read again later, from the
/// beginning of the first record that is open. So the position never lies within a record.
extension FileTailEngine {
    /// An open record ends after so many times its time-out, whatever comes.
    private static let patience: Int64 = 10

    /// Bytes read at once. What is written anew in the block needs room for properties behind it.
    func largestChunk(of file: TailedFile, in batch: RecordBatch) -> Int {
        let room = batch.capacity - LineSplitter.reserve
        return assemblers[file.input]?.rewrites == true ? room / 2 : room
    }

    /// Everything up to the file's end has been looked at, and more lines are waited for.
    func isHeldOpen(_ file: TailedFile) -> Bool {
        guard let open = file.open else { return false }
        return open.offset == file.offset && open.size == file.size
    }

    /// Looks whether the open record goes on, or has waited for long enough.
    func readOpen(_ file: TailedFile, _ open: TailedFile.OpenRecord) -> Outcome {
        let timeout = assemblers[file.input]?.timeout.nanoseconds ?? 0
        let due = min(file.lastChange + timeout, open.since + timeout * Self.patience)
        let now = Self.monotonic()
        if now >= due { return readChunk(file, isClosing: true) }
        if file.size != open.size { return readChunk(file) }
        wait(file, due - now)
        return .atEnd
    }

    /// Makes records of the lines of a chunk and passes on those that are complete.
    func sendAssembled(
        _ batch: RecordBatch, of file: TailedFile, consumed: Int, maximumLength: Int, isFull: Bool, isClosing: Bool
    ) -> Outcome {
        guard
            let done = assemblers[file.input]?.assemble(
                batch, consumed: consumed, maximumLength: maximumLength, isFull: isFull, isClosing: isClosing,
                offsets: file.isConverted ? lineOffsets : nil)
        else { return .held }
        guard done > 0 else {
            batch.recycle()
            let now = Self.monotonic()
            let since = file.open.flatMap { $0.offset == file.offset ? $0.since : nil } ?? now
            file.open = TailedFile.OpenRecord(offset: file.offset, size: file.size, since: since)
            wait(file, max(0, file.lastChange + (assemblers[file.input]?.timeout.nanoseconds ?? 0) - now))
            return .atEnd
        }
        file.open = nil
        for record in 0..<batch.recordCount {
            let flags = batch.records[record].flags
            if flags.contains(.truncated) { statistics.truncatedLines += 1 }
            if flags.contains(.unterminated) { statistics.unterminatedLines += 1 }
        }
        // The bytes in the block may not be those of the file any more.
        let end = file.isConverted ? lineOffsets.offset(before: done) : file.offset + UInt64(done)
        file.marker = marker(of: file, before: end)
        return send(batch, of: file, from: file.offset, consumed: end - file.offset) ? .more : .held
    }

    /// The file grows no more: what is left of it are its last records. False when nothing could be passed on.
    func closeRest(_ file: TailedFile) -> Bool {
        let rest = file.size - file.offset
        if assemblers[file.input] != nil,
            rest / UInt64(file.unit) <= UInt64(inputs[file.input].maximumLine) || file.open != nil
        {
            if readChunk(file, isClosing: true, takesRest: true) == .more { return true }
            if file.size - file.offset != rest { return true }
        }
        return emitLine(file, length: file.size - file.offset, isTerminated: false)
    }
}
