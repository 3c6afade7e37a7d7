import Glibc
internal import Logging
internal import TailraceSpool

/// Files that are not UTF-8: a chunk is read beside the block and converted into it, and everything after that works on
/// UTF-8. Positions, offsets and what is compared stay those of the file's own bytes.
extension FileTailEngine {
    /// How the file's bytes stand for text: as configured, else by its first bytes.
    func recogniseEncoding(_ file: TailedFile) {
        if let encoding = inputs[file.input].encoding {
            file.encoding = encoding
            return
        }
        if file.size > 0 { file.encoding = Self.encoding(beginning: file.descriptor) }
    }

    /// Nil when the first bytes do not tell yet.
    private static func encoding(beginning descriptor: Int32) -> TextEncoding? {
        withUnsafeTemporaryAllocation(byteCount: 2, alignment: 2) { buffer in
            let count = readFully(descriptor, into: buffer, count: buffer.count, offset: 0)
            return count > 0 ? TextEncoding(beginning: UnsafeRawBufferPointer(rebasing: buffer[..<count])) : nil
        }
    }

    /// The same for an archive, of whose content the beginning is at hand.
    func recogniseEncoding(_ file: TailedFile, in archive: ArchiveReader) {
        guard file.encoding == nil, archive.start == 0 else { return }
        file.encoding =
            inputs[file.input].encoding ?? archive.window.withUnsafeBytes { TextEncoding(beginning: $0) }
    }

    /// The same for a file that may not be open.
    func encoding(of file: TailedFile, _ descriptor: Int32) -> TextEncoding {
        file.encoding ?? inputs[file.input].encoding ?? Self.encoding(beginning: descriptor) ?? .utf8
    }

    /// A position that was made with another encoding in mind may lie within a code unit, behind the first byte of a
    /// newline: it moves behind it.
    func alignOffset(_ file: TailedFile) {
        guard file.unit > 1, file.offset % UInt64(file.unit) != 0, file.size > file.offset else { return }
        file.open = nil
        setOffset(file, file.offset + 1)
        note(file.position)
    }

    /// The hash of the bytes before `offset`, as many as are compared.
    func marker(of file: TailedFile, before offset: UInt64) -> ContentHash {
        let length = Int(min(offset, UInt64(FilePosition.maximumMarker)))
        let from = offset - UInt64(length)
        if let archive = file.archive { return archive.hash(from: from, length: length) ?? .empty }
        return ContentHash(of: file.descriptor, from: from, length: length) ?? .empty
    }

    // MARK: - Chunks

    /// Bytes of the block for converted text: as a rule half of it, so that there is room for the offsets of its lines; and
    /// at most, for a line as long as may be. A record of several lines may be as long as that, too.
    private func textRoom(of file: TailedFile, in batch: RecordBatch) -> (usual: Int, most: Int) {
        let room = batch.capacity - LineSplitter.reserve
        let assembler = assemblers[file.input]
        if assembler?.rewrites == true { return (room / 2, room / 2) }
        let longest = inputs[file.input].maximumLine + TextEncoding.longestCharacter
        let most = max(room / 2, min(room, longest))
        return (assembler == nil ? room / 2 : most, most)
    }

    /// The longest line that a chunk holds whole, with its newline.
    func longestLine(of file: TailedFile, in batch: RecordBatch) -> Int {
        let limit =
            file.isConverted
            ? textRoom(of: file, in: batch).most - TextEncoding.longestCharacter : largestChunk(of: file, in: batch) - 1
        return min(inputs[file.input].maximumLine, limit)
    }

    /// Bytes of the file that make a chunk.
    func chunkLength(of file: TailedFile, in batch: RecordBatch) -> Int {
        file.isConverted ? textRoom(of: file, in: batch).most * file.unit : largestChunk(of: file, in: batch)
    }

    /// Converts the file from its offset on until the block has enough; the first `count` bytes have been read already.
    func convert(_ count: Int, of file: TailedFile, into batch: RecordBatch, isFinal: Bool) -> Chunk {
        convert(file, into: batch) { done in
            let count = done == 0 ? count : readPiece(of: file, from: file.offset + UInt64(done), to: file.size)
            return (
                UnsafeRawBufferPointer(rebasing: scanScratch[..<count]),
                isFinal && file.offset + UInt64(done + count) >= file.size
            )
        }
    }

    /// Puts what the archive has behind the file's offset into the block.
    func fill(_ batch: RecordBatch, from archive: ArchiveReader, of file: TailedFile, isFinal: Bool) -> Chunk {
        archive.window.withUnsafeBytes { window in
            let rest = UnsafeRawBufferPointer(rebasing: window[Int(file.offset - archive.start)...])
            if file.isConverted {
                return convert(file, into: batch) { (UnsafeRawBufferPointer(rebasing: rest[$0...]), isFinal) }
            }
            let largest = largestChunk(of: file, in: batch)
            let count = min(rest.count, largest)
            if count > 0, let base = rest.baseAddress { batch.block.copyMemory(from: base, byteCount: count) }
            return Chunk(count: count, bytes: count, seen: count, isFull: count == largest)
        }
    }

    /// - Parameter piece: what the file has behind so many bytes of the chunk, and whether no more will come.
    private func convert(
        _ file: TailedFile, into batch: RecordBatch, piece: (Int) -> (bytes: UnsafeRawBufferPointer, isFinal: Bool)
    ) -> Chunk {
        let room = textRoom(of: file, in: batch)
        var limit = room.usual
        var hasNewline = false
        var chunk = Chunk(count: 0, bytes: 0, seen: 0, isFull: false)
        while true {
            let (bytes, isFinal) = piece(chunk.bytes)
            let (taken, made) = file.text.convert(
                bytes,
                into: UnsafeMutableRawBufferPointer(start: batch.block + chunk.count, count: limit - chunk.count),
                isFinal: isFinal)
            hasNewline = hasNewline || memchr(batch.block + chunk.count, 0x0A, made) != nil
            chunk.count += made
            chunk.bytes += taken
            chunk.seen = chunk.bytes
            if limit - chunk.count < TextEncoding.longestCharacter {
                if hasNewline || limit == room.most {
                    chunk.isFull = true
                    break
                }
                limit = room.most
            } else if taken == 0 {
                chunk.seen += bytes.count
                break
            }
        }
        if assemblers[file.input] == nil { chunk.maximumLines = (batch.capacity - chunk.count) / LineOffsets.room }
        return chunk
    }

    /// Bytes read into `scanScratch`: none at the end, and where the file cannot be read.
    func readPiece(of file: TailedFile, from start: UInt64, to end: UInt64) -> Int {
        let count = Int(min(UInt64(scanScratch.count), end > start ? end - start : 0))
        let read = max(0, readFully(file.descriptor, into: scanScratch, count: count, offset: start))
        let bytes = UnsafeRawBufferPointer(rebasing: scanScratch[..<read])
        return arrived(bytes, of: file, at: start, wanted: count)
    }

    // MARK: - Lines

    /// Notes where the lines of a chunk lie in the file. Returns the bytes of the file that were consumed.
    func noteOffsets(_ batch: RecordBatch, of file: TailedFile, _ chunk: Chunk, consumed: Int) -> Int {
        guard file.isConverted else { return consumed }
        let bytes =
            consumed == chunk.count
            ? chunk.bytes : file.text.length(of: UnsafeRawBufferPointer(start: batch.block, count: consumed))
        lineOffsets.note(batch, base: file.offset, consumed: consumed, bytes: bytes, encoding: file.text)
        return bytes
    }

    /// The same for the one line of `length` bytes at the file's offset, which gets its own.
    func writeOffset(ofLineAt file: TailedFile, length: UInt64, to batch: RecordBatch) {
        guard file.isConverted else { return }
        lineOffsets.note(
            batch, base: file.offset, consumed: batch.length, bytes: Int(clamping: length) + file.unit,
            encoding: file.text)
        lineOffsets.write(to: batch)
    }

    /// Reads the beginning of the line of `length` bytes at the file's offset, as much as is kept of a line. Nil when the
    /// file does not have it.
    func readLine(
        _ file: TailedFile, length: UInt64, into batch: RecordBatch
    ) -> (kept: Int, isCut: Bool)? {
        guard file.isConverted else {
            let maximum = min(inputs[file.input].maximumLine, batch.capacity - LineSplitter.reserve - 1)
            let kept = Int(min(length, UInt64(maximum)))
            let block = UnsafeMutableRawBufferPointer(start: batch.block, count: batch.capacity)
            guard readFully(file.descriptor, into: block, count: kept, offset: file.offset) == kept else { return nil }
            return (kept, UInt64(kept) < length)
        }
        let maximum = longestLine(of: file, in: batch)
        let limit = maximum + TextEncoding.longestCharacter
        let end = file.offset + length
        var at = file.offset
        var made = 0
        while at < end, limit - made >= TextEncoding.longestCharacter {
            let count = readPiece(of: file, from: at, to: end)
            let result = file.text.convert(
                UnsafeRawBufferPointer(rebasing: scanScratch[..<count]),
                into: UnsafeMutableRawBufferPointer(start: batch.block + made, count: limit - made),
                isFinal: at + UInt64(count) == end)
            guard result.taken > 0 else { return nil }
            at += UInt64(result.taken)
            made += result.made
        }
        return (TextEncoding.cut(UnsafeRawBufferPointer(start: batch.block, count: made), to: maximum), made > maximum)
    }
}
