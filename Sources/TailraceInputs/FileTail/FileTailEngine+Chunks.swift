import Glibc
internal import TailraceSpool

/// Blocks of a file as they are read, and what is remembered of their content.
extension FileTailEngine {
    /// What was read into a batch's block.
    struct Chunk {
        /// Bytes in the block.
        var count: Int
        /// Bytes of the file that they stand for, and bytes looked at: the last character may not be there whole.
        var bytes: Int
        var seen: Int
        /// There is no room for more.
        var isFull: Bool
        var maximumLines = LineSplitter.maximumRecords
    }

    /// Why there is no chunk.
    enum NoChunk: Error { case outcome(Outcome) }

    /// Reads from the file's offset on, together with the bytes before it, which must be those that were read there.
    func readBlock(
        _ file: TailedFile, into batch: RecordBatch, isFinal: Bool
    ) -> Result<Chunk, NoChunk> {
        if file.isConverted {
            return readMarked(file, into: scanScratch).map { convert($0, of: file, into: batch, isFinal: isFinal) }
        }
        let largest = largestChunk(of: file, in: batch)
        return readMarked(file, into: UnsafeMutableRawBufferPointer(start: batch.block, count: largest)).map { count in
            Chunk(count: count, bytes: count, seen: count, isFull: count == largest)
        }
    }

    private func readMarked(
        _ file: TailedFile, into buffer: UnsafeMutableRawBufferPointer
    ) -> Result<Int, NoChunk> {
        let markerLength = Int(file.marker.length)
        let wanted = Int(min(UInt64(buffer.count), file.size - file.offset))
        let at = off_t(file.offset) - off_t(markerLength)
        let result = withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { parts in
            parts.initializeElement(at: 0, to: iovec(iov_base: markerScratch, iov_len: markerLength))
            parts.initializeElement(at: 1, to: iovec(iov_base: buffer.baseAddress, iov_len: wanted))
            return preadv(file.descriptor, parts.baseAddress, 2, at)
        }
        if result < 0 {
            let code = errno
            if code == EINTR { return .failure(.outcome(.more)) }
            statistics.readErrors += 1
            setTrouble(file, code)
            close(file)
            return .failure(.outcome(.held))
        }
        let count = result - markerLength
        let marker = UnsafeRawBufferPointer(start: markerScratch, count: markerLength)
        if count < 0 || ContentHash(of: marker) != file.marker {
            return .failure(
                .outcome(
                    restart(
                        file, because: "the bytes before offset \(file.offset) are not those that were read there")))
        }
        trustContent(file)
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        return .success(arrived(bytes, of: file, at: file.offset, wanted: wanted))
    }

    // MARK: - Remembered content

    /// The marker is the end of what was the marker and what was read behind it.
    func advanceMarker(_ file: TailedFile, block: UnsafeRawBufferPointer) {
        let maximum = FilePosition.maximumMarker
        if block.count >= maximum {
            file.marker = ContentHash(of: UnsafeRawBufferPointer(rebasing: block.suffix(maximum)))
            return
        }
        withUnsafeTemporaryAllocation(byteCount: maximum * 2, alignment: 1) { joined in
            let old = Int(file.marker.length)
            joined.copyMemory(from: UnsafeRawBufferPointer(start: markerScratch, count: old))
            UnsafeMutableRawBufferPointer(rebasing: joined[old...]).copyMemory(from: block)
            let all = UnsafeRawBufferPointer(rebasing: joined[..<(old + block.count)])
            file.marker = ContentHash(of: UnsafeRawBufferPointer(rebasing: all.suffix(maximum)))
        }
    }

    /// As `extendHead`, for what lies in the block that was read from the file's offset on.
    func extendHead(_ file: TailedFile, by block: UnsafeRawBufferPointer) {
        let base = file.offset, end = base + UInt64(block.count), descriptor = file.descriptor
        func hash(_ from: UInt64, _ length: Int) -> ContentHash? {
            guard from >= base, from + UInt64(length) <= end else {
                return ContentHash(of: descriptor, from: from, length: length)
            }
            let start = Int(from - base)
            return ContentHash(of: UnsafeRawBufferPointer(rebasing: block[start..<(start + length)]))
        }
        if file.marks.next <= end { file.marks.extend(to: end, hash: hash) }
        if base == 0, let head = hash(0, min(block.count, FilePosition.maximumHead)) { file.head = head }
    }

    /// The first bytes that were read, until there are as many as are compared; and the marks.
    func extendHead(_ file: TailedFile) {
        if !file.isArchive, file.marks.next <= file.offset {
            let descriptor = file.descriptor
            file.marks.extend(to: file.offset) { ContentHash(of: descriptor, from: $0, length: $1) }
        }
        guard Int(file.head.length) < FilePosition.maximumHead, UInt64(file.head.length) < file.offset else { return }
        let length = Int(min(file.offset, UInt64(FilePosition.maximumHead)))
        let head =
            if file.isArchive {
                file.archive?.hash(from: 0, length: length)
            } else {
                ContentHash(of: file.descriptor, from: 0, length: length)
            }
        file.head = head ?? file.head
    }
}
