import Glibc
internal import Logging
internal import TailraceSpool

extension FileTailEngine {
    /// Reads at most one block of each file that is ready. Returns the bytes passed on.
    func readRound() -> Int {
        round += 1
        let before = statistics.bytes
        let files = ready
        ready = []
        for (index, file) in files.enumerated() {
            if isClosed || shared.stops {
                ready.insert(contentsOf: files[index...], at: 0)
                break
            }
            file.isQueued = false
            guard !file.isRemoved else { continue }
            if file.predecessor != nil {
                readAfterPredecessor(file)
                continue
            }
            switch read(file) {
            case .more: enqueue(file)
            case .atEnd: atEnd(file)
            case .held: break
            }
        }
        return Int(clamping: statistics.bytes - before)
    }

    /// Opens what waits to be read, so that it can be read even if it is unlinked first.
    func openReady() {
        for file in ready where file.descriptor < 0 && file.directory != nil && !file.isRemoved { _ = open(file) }
    }

    enum Outcome {
        /// There is, or may be, more.
        case more
        /// Everything up to the file's end is passed on, but for a line that has no newline yet.
        case atEnd
        /// It cannot be read now; something else will bring it back.
        case held
    }

    /// The generation before this one goes first. It counts as read when it was found at its end after this one was
    /// seen to have something: a writer that still had it open has then moved on.
    private func readAfterPredecessor(_ file: TailedFile) {
        guard file.descriptor >= 0 || open(file), let status = FileStatus(descriptor: file.descriptor) else {
            if file.trouble == 0, file.directory != nil { enqueue(file) }
            return
        }
        var next = file
        while let before = next.predecessor, before.predecessor != nil { next = before }
        guard let first = next.predecessor else { return }
        if first.descriptor < 0, first.directory == nil, !first.isRemoved {
            // It is not open, and it has no name that we know of: perhaps a rename is still to be heard of.
            let since = first.searchedSince ?? walk
            if since == walk {
                first.searchedSince = since
                wantsWalk = true
                enqueue(file)
                return
            }
        }
        if first.isRemoved || first.descriptor < 0 && first.directory == nil || first.trouble != 0 {
            next.predecessor = nil
            enqueue(file)
            return
        }
        if status.size < file.offset {
            // It was truncated: that is noted at once, for a copy may wait to hear of it.
            if read(file) != .held { enqueue(file) }
            return
        }
        if status.size == 0, status.links > 0 { return }
        switch read(first) {
        case .more:
            enqueue(first)
            enqueue(file)
        case .atEnd:
            atEnd(first)
            if first.size <= first.offset {
                next.predecessor = nil
                enqueue(file)
            } else {
                wait(file, Self.predecessorInterval)
            }
        case .held: wait(file, Self.predecessorInterval)
        }
    }

    /// How often a generation that must wait looks whether it still must: 50 ms.
    private static let predecessorInterval: Int64 = 50_000_000

    private func atEnd(_ file: TailedFile) {
        if file.candidateLabel != nil || file.isArchive || file.doubt != nil { return }
        guard file.isRotated || file.isUnlinked else { return }
        let hasRest = file.size > file.offset
        if hasRest, file.scannedTo < file.size, !isHeldOpen(file) {
            // What a server does not give yet is asked for again later.
            if file.isRemote { wait(file, limits.pollInterval.nanoseconds) } else { enqueue(file) }
            return
        }
        let now = Self.monotonic()
        let idle = now - file.lastChange
        if idle < limits.finalAfter.nanoseconds {
            wait(file, min(limits.finalAfter.nanoseconds - idle, limits.pollInterval.nanoseconds))
        } else if hasRest {
            if beginsWithNULs(file) {
                _ = passNULs(file, isFinal: true)
                enqueue(file)
            } else if closeRest(file) {
                enqueue(file)
            }
        } else if file.isUnlinked {
            remove(file)
        } else {
            close(file)
            if file.directory == nil { file.missingSince = now }
        }
    }

    // MARK: - Reading

    private func read(_ file: TailedFile) -> Outcome {
        if file.isArchive { return file.descriptor >= 0 || open(file) ? readArchive(file) : .held }
        if let outcome = lookAt(file) { return outcome }
        if file.offset == 0 {
            lookForCopies(of: file)
            if file.predecessor != nil || file.descriptor < 0 { return .more }
        }
        if let open = file.open, open.offset == file.offset, assemblers[file.input] != nil {
            return readOpen(file, open)
        }
        if file.scannedTo > file.offset {
            if file.size < file.scannedTo || file.endsInNULs { file.scannedTo = file.offset }
            file.endsInNULs = false
            if file.size == file.scannedTo { return .atEnd }
        }
        return file.scannedTo > file.offset ? scanLongLine(file) : readChunk(file)
    }

    /// Notes what has become of the file since it was last looked at. Nil when there is something to read from its offset.
    func lookAt(_ file: TailedFile) -> Outcome? {
        if file.isShort {
            // Perhaps the name leads to another file by now.
            file.isShort = false
            if file.directory != nil { close(file) }
        }
        if file.descriptor < 0, !open(file) { return .held }
        guard let status = FileStatus(descriptor: file.descriptor) else {
            statistics.readErrors += 1
            setTrouble(file, errno)
            close(file)
            return .held
        }
        file.lastRound = round
        let hasMoved = status.modified != file.modified
        let sizeBefore = file.size
        update(file, status)
        if let outcome = lookAtItself(file, status) { return outcome }
        let generation = file.generation
        if file.encoding == nil { recogniseEncoding(file) }
        if !prepare(file) { return file.isRemoved ? .held : .atEnd }
        if file.generation != generation { return .more }
        alignOffset(file)
        if file.size < file.offset {
            if isDoubted(file) {
                file.size = sizeBefore
                return .held
            }
            statistics.lostBytes += sizeBefore > file.offset ? sizeBefore - file.offset : 0
            beginAnew(file, because: "it was truncated to \(file.size) bytes")
            return .more
        }
        if file.size == file.offset {
            if hasMoved || file.doubt != nil, !file.contentMatches(file.position) {
                return restart(file, because: "its content was replaced by as many bytes")
            }
            file.doubt = nil
            return .atEnd
        }
        return nil
    }

    /// Notes what an open file is by now.
    func update(_ file: TailedFile, _ status: FileStatus) {
        if status.size != file.size || status.modified != file.modified { file.lastChange = Self.monotonic() }
        file.size = status.size
        file.modified = status.modified
        file.isUnlinked = status.links == 0
    }

    func beginAnew(_ file: TailedFile, because reason: String) {
        let old = file.position
        logger.info("\(file.path) begins anew at 0: \(reason)")
        statistics.restartedGenerations += 1
        file.beginGeneration(old.generation &+ 1)
        // The new position first: a crash between the two must not make the file look never seen.
        note(file.position)
        abandon(old)
        // An archive of it may be there already, of which no event tells.
        if let directory = file.directory { scan(directory) }
        settleTouched()
        lookForCopies(of: file)
    }

    /// Positions that were noted go before data that moves them.
    func takeDataBatch() -> RecordBatch? {
        flushPositions()
        return isClosed ? nil : takeBatch()
    }

    /// Finds the lines of one chunk, and the records that they make.
    ///
    /// - Parameters:
    ///   - isClosing: no record waits for more lines.
    ///   - takesRest: a last line without newline is taken as it is.
    func readChunk(_ file: TailedFile, isClosing: Bool = false, takesRest: Bool = false) -> Outcome {
        guard let batch = takeDataBatch() else { return .held }
        guard file.descriptor >= 0 else {
            batch.recycle()
            return .more
        }
        let chunk: Chunk
        switch readBlock(file, into: batch, isFinal: takesRest) {
        case .success(let read): chunk = read
        case .failure(.outcome(let outcome)):
            batch.recycle()
            return outcome
        }
        if chunk.count >= LineSplitter.minimumNULs,
            LineSplitter.isNULRun(UnsafeRawBufferPointer(start: batch.block, count: chunk.count))
        {
            batch.recycle()
            return passNULs(file)
        }
        let isWhole = file.offset + UInt64(chunk.bytes) == file.size
        let maximumLine = longestLine(of: file, in: batch)
        let consumed = LineSplitter.split(
            batch, count: chunk.count, maximumLine: maximumLine, takesRest: takesRest && isWhole,
            maximumLines: chunk.maximumLines)
        if consumed == 0 {
            file.endsInNULs =
                chunk.count > 0 && batch.block.load(fromByteOffset: chunk.count - 1, as: UInt8.self) == 0
            batch.recycle()
            file.scannedTo = file.offset + UInt64(chunk.seen)
            return chunk.isFull && file.scannedTo < file.size ? .more : .atEnd
        }
        strip(batch, of: file)
        let bytes = noteOffsets(batch, of: file, chunk, consumed: consumed)
        if assemblers[file.input] != nil {
            return sendAssembled(
                batch, of: file, consumed: consumed, maximumLength: maximumLine, isFull: chunk.isFull,
                isClosing: isClosing)
        }
        statistics.truncatedLines += UInt64(batch.attributes.count)
        if file.isConverted {
            lineOffsets.write(to: batch)
            file.marker = marker(of: file, before: file.offset + UInt64(bytes))
        } else {
            let block = UnsafeRawBufferPointer(start: batch.block, count: consumed)
            advanceMarker(file, block: block)
            // Of what was read, not of what the file has by now: it may just have been truncated.
            extendHead(file, by: block)
        }
        return send(batch, of: file, from: file.offset, consumed: UInt64(bytes)) ? .more : .held
    }

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
    private func readBlock(
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
        var parts = [
            iovec(iov_base: markerScratch, iov_len: markerLength),
            iovec(iov_base: buffer.baseAddress, iov_len: wanted),
        ]
        let at = off_t(file.offset) - off_t(markerLength)
        let result = preadv(file.descriptor, &parts, 2, at)
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

    /// Takes from the lines what is no part of them.
    func strip(_ batch: RecordBatch, of file: TailedFile) {
        if file.offset == 0 { LineSplitter.stripByteOrderMark(batch) }
        if inputs[file.input].stripsCarriageReturns { LineSplitter.stripCarriageReturns(batch) }
    }

    /// The marker is the end of what was the marker and what was read behind it.
    private func advanceMarker(_ file: TailedFile, block: UnsafeRawBufferPointer) {
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

    /// Passes the batch on and moves the position behind what it covers. False when the sink is closed.
    func send(_ batch: RecordBatch, of file: TailedFile, from base: UInt64, consumed: UInt64) -> Bool {
        file.offset = base + consumed
        file.scannedTo = file.offset
        file.seen = file.modified
        extendHead(file)
        let position = file.position
        let key = file.key ?? position.key
        file.key = key
        let context =
            file.context
            ?? RecordContext(host: host, source: position.label, input: inputs[file.input].name).encoded
        file.context = context
        batch.baseOffset = base
        batch.time = wallClockMilliseconds()
        batch.context = context
        batch.position = SourcePosition(source: key, value: position.value)
        statistics.records += UInt64(batch.recordCount)
        statistics.bytes += consumed
        statistics.batches += 1
        if sink.append(batch) { return true }
        isClosed = true
        return false
    }

    /// As `extendHead`, for what lies in the block that was read from the file's offset on.
    private func extendHead(_ file: TailedFile, by block: UnsafeRawBufferPointer) {
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

    /// Looks for the newline that ends a line too long for one chunk, or one that was not finished when last looked at.
    private func scanLongLine(_ file: TailedFile) -> Outcome {
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
        guard let line = readLine(file, length: length, into: batch) else {
            // It was truncated meanwhile; the next look sees that.
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
}
