import Glibc
internal import Logging
internal import TailraceSpool

extension FileTailEngine {
    func read(_ file: TailedFile) -> Outcome {
        if file.isArchive { return file.descriptor >= 0 || open(file) ? readArchive(file) : .held }
        if let outcome = lookAt(file) { return outcome }
        if file.offset == 0 {
            lookForCopies(of: file.label)
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
        openFiles.append(file)
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
        lookForCopies(of: file.label)
    }

    /// Whether what was just read of a file comes next. While a batch was waited for its log may have been rotated, and nothing
    /// in front of offset 0 tells that this is another content: what was rotated comes first.
    func isStillFirst(_ file: TailedFile) -> Bool {
        let generation = file.generation
        if file.offset == 0 { lookForCopies(of: file.label) }
        return file.predecessor == nil && file.generation == generation && file.descriptor >= 0
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
        guard isStillFirst(file) else {
            batch.recycle()
            return .more
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

    /// Takes from the lines what is no part of them.
    func strip(_ batch: RecordBatch, of file: TailedFile) {
        if file.offset == 0 { LineSplitter.stripByteOrderMark(batch) }
        if inputs[file.input].stripsCarriageReturns { LineSplitter.stripCarriageReturns(batch) }
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
        logger.debug("\(file.described): \(batch.recordCount) records up to \(file.offset)")
        if sink.append(batch) { return true }
        isClosed = true
        return false
    }
}
