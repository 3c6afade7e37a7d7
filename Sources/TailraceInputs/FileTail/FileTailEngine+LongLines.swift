import Glibc
internal import TailraceSpool

/// Lines that no chunk holds, and last lines without newline.
extension FileTailEngine {
    /// Looks for the newline that ends a line too long for one chunk, or one that was not finished when last looked at.
    func scanLongLine(_ file: TailedFile) -> Outcome {
        for _ in 0..<8 {
            // Half a code unit may have been looked at.
            let from = file.scannedTo - (file.scannedTo - file.offset) % UInt64(file.unit)
            let wanted = Int(min(UInt64(scanScratch.count), file.size - from))
            var count = readFully(file.descriptor, into: scanScratch, count: wanted, offset: from)
            if count < 0 {
                statistics.readErrors += 1
                setTrouble(file, errno)
                close(file)
                return .held
            }
            count = arrived(
                UnsafeRawBufferPointer(rebasing: scanScratch[..<count]), of: file, at: from, wanted: wanted)
            if let newline = file.text.newline(in: UnsafeRawBufferPointer(rebasing: scanScratch[..<count])) {
                let length = from + UInt64(newline) - file.offset
                if length > UInt64(inputs[file.input].maximumLine) {
                    return emitLine(file, length: length, isTerminated: true) ? .more : .held
                }
                file.scannedTo = file.offset
                return .more
            }
            file.scannedTo = from + UInt64(count)
            if file.scannedTo >= file.size || count < wanted { return .atEnd }
        }
        return .more
    }

    /// Passes on the one line of `length` bytes at the file's offset, cut if it is too long. False when it could not.
    func emitLine(_ file: TailedFile, length: UInt64, isTerminated: Bool) -> Bool {
        guard file.descriptor >= 0, let batch = takeDataBatch() else { return false }
        guard let line = readLine(file, length: length, into: batch), isStillFirst(file),
            isStillThere(file, length: length, isTerminated: isTerminated, beginning: batch.block, line.kept)
        else {
            // It was truncated meanwhile, or goes on; the next look sees that.
            batch.recycle()
            file.scannedTo = file.offset
            enqueue(file)
            return false
        }
        if isTerminated, !line.isCut {
            // It is shorter than its bytes: a chunk holds it.
            batch.recycle()
            file.scannedTo = file.offset
            return true
        }
        var flags: RecordFlags = []
        if line.isCut { flags.insert(.truncated) }
        if !isTerminated { flags.insert(.unterminated) }
        batch.append(RecordEntry(start: 0, length: UInt32(line.kept), flags: flags))
        batch.length = line.kept
        if line.isCut {
            LineSplitter.appendLength(Int(clamping: length), of: 0, to: batch)
            statistics.truncatedLines += 1
        }
        strip(batch, of: file)
        if !isTerminated { statistics.unterminatedLines += 1 }
        let consumed = length + UInt64(isTerminated ? file.unit : 0)
        writeOffset(ofLineAt: file, length: length, to: batch)
        file.marker = marker(of: file, before: file.offset + consumed)
        return send(batch, of: file, from: file.offset, consumed: consumed)
    }

    /// Whether the line of `length` bytes at the file's offset, which begins with `count` bytes of text, is the one that was
    /// found there. Since its first bytes were looked at the file may have been truncated and have grown again.
    private func isStillThere(
        _ file: TailedFile, length: UInt64, isTerminated: Bool, beginning text: UnsafeMutableRawPointer, _ count: Int
    ) -> Bool {
        guard memchr(text, 0x0A, count) == nil, file.contentMatches(file.position) else { return false }
        let end = file.offset + length
        guard isTerminated else { return FileStatus(descriptor: file.descriptor)?.size == end }
        return withUnsafeTemporaryAllocation(byteCount: file.unit, alignment: 1) { unit in
            readFully(file.descriptor, into: unit, count: file.unit, offset: end) == file.unit
                && file.text.newline(in: UnsafeRawBufferPointer(unit)) == 0
        }
    }
}
