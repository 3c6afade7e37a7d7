import Glibc
internal import Logging
internal import TailraceSpool

/// Logs that were rotated and compressed before they were read to their end: the rest is read out of the archive.
///
/// An archive is told by its name and by the first bytes of its content, which must be those of a known position whose
/// file is gone, or of a log before it was truncated whose copy has not been found. Archives of generations that nobody has
/// seen are read too, when they are younger than such a one. All other compressed files are left alone.
extension FileTailEngine {
    struct ArchiveName {
        var directory: WatchedDirectory
        var name: String
        var status: FileStatus
        /// The logs of which it may be a generation.
        var labels: [String]
    }

    static let compressedSuffixes = [".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z"]

    static func isCompressed(_ name: String) -> Bool { compressedSuffixes.contains { name.hasSuffix($0) } }

    /// The logs of which `name` may be an archive, as far as something of them is missing.
    func archiveLabels(of name: String, in directory: WatchedDirectory) -> [String] {
        guard name.hasSuffix(".gz"), !saved.isEmpty || !lost.isEmpty || !abandoned.isEmpty else { return [] }
        let stem = String(name.dropLast(3))
        return ([stem] + RotatedName.originals(of: stem)).map { directory.path(of: $0) }
            .filter { label in abandoned[label] != nil || !missingPositions(of: label).isEmpty }
    }

    /// Positions of generations of a log whose files cannot be found.
    private func missingPositions(of label: String) -> [FilePosition] {
        var result: [FilePosition] = []
        if savedLabels[label] != nil {
            result = saved.values.joined().filter { $0.label == label && $0.head.length > 0 }
        }
        for file in lost.values
        where file.label == label && file.descriptor < 0 && file.size > file.offset && file.head.length > 0 {
            result.append(file.position)
        }
        return result
    }

    /// After everything else that was found: what is still missing may be in these.
    func adoptArchives(_ archives: [ArchiveName]) {
        // What is a copy as it lies there needs no archive.
        for label in Set(archives.flatMap(\.labels)) { settleCopies(of: label) }
        var known: [(archive: ArchiveName, label: String)] = []
        for archive in archives where files[archive.status.identity] == nil {
            for label in archive.labels {
                if let position = position(in: archive, of: label) {
                    adopt(archive, position, label)
                    known.append((archive, label))
                    break
                }
            }
        }
        for (first, label) in known {
            for archive in archives
            where archive.labels.contains(label) && archive.directory === first.directory
                && files[archive.status.identity] == nil && archive.status.modified >= first.status.modified
                && RotatedName.isOlder(String(first.name.dropLast(3)), than: String(archive.name.dropLast(3)))
            {
                adopt(archive, nil, label)
            }
        }
    }

    /// The missing position that the archive's content begins with.
    private func position(in archive: ArchiveName, of label: String) -> FilePosition? {
        let path = archive.directory.path(of: archive.name)
        let descriptor = path.withSystemPath { Glibc.open($0, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) }
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        let reader = ArchiveReader(descriptor: descriptor)
        let outcome = reader.extend(by: FilePosition.maximumHead)
        // A copy was modified last after its log was last looked at.
        let copied = (abandoned[label] ?? []).filter { $0.seen <= archive.status.modified }
        for position in missingPositions(of: label) + copied
        where reader.hash(from: 0, length: Int(position.head.length)) == position.head {
            return position
        }
        if outcome == .waiting || reader.window.count < FilePosition.maximumHead, outcome != .finished,
            wallClockMilliseconds() - archive.status.modified / 1_000_000 < limits.forgetAfter.nanoseconds / 1_000_000,
            unfinishedArchives.count < 1000
        {
            let key = TouchedKey(directory: ObjectIdentifier(archive.directory), name: archive.name)
            unfinishedArchives[key] = (archive.directory, archive.name)
        }
        return nil
    }

    private func adopt(_ archive: ArchiveName, _ position: FilePosition?, _ label: String) {
        guard let input = input(ofPath: label) else { return }
        let identity = archive.status.identity
        let file = TailedFile(
            identity: identity, keyIdentity: position?.identity ?? identity, input: input,
            age: position?.identity.birth ?? archive.status.modified, directory: archive.directory, name: archive.name)
        if let position {
            dropMissing(position)
            file.load(position)
        } else {
            file.label = label
        }
        file.becomeArchive(modified: archive.status.modified)
        file.size = file.offset + 1
        file.lastChange = Self.monotonic()
        adopted += 1
        files[identity] = file
        archive.directory.names[archive.name] = file
        if let other = youngest[label] { other.insertPredecessor(file) } else { youngest[label] = file }
        statistics.archives += 1
        logger.info("\(file.path) is an archive of \(label), read from offset \(file.offset) of its content")
        enqueue(file)
    }

    private func dropMissing(_ position: FilePosition) {
        if takeSaved(position) || takeAbandoned(position) { return }
        if let file = lost[position.identity.withoutDevice] { discard(file) }
    }

    // MARK: - Reading

    /// One step of an archive: passing over what is known of it, or reading one batch.
    func readArchive(_ file: TailedFile) -> Outcome {
        let reader = file.archive ?? ArchiveReader(descriptor: file.descriptor)
        file.archive = reader
        file.lastRound = round
        if reader.end < file.offset {
            let outcome = reader.extend(by: Int(min(UInt64(scanScratch.count), file.offset - reader.end)))
            recogniseEncoding(file, in: reader)
            reader.drop(before: reader.end)
            return goOn(file, outcome)
        }
        if !reader.isChecked {
            let length = Int(file.marker.length)
            guard reader.hash(from: file.offset - UInt64(length), length: length) == file.marker else {
                return endArchive(file, "its content is not what was read up to offset \(file.offset)")
            }
            reader.isChecked = true
        }
        if reader.longLine != nil { return readLongLine(file, reader) }
        return readLines(file, reader)
    }

    private func readLines(_ file: TailedFile, _ reader: ArchiveReader) -> Outcome {
        guard let batch = takeDataBatch() else { return .held }
        guard file.archive === reader, !file.isRemoved else {
            batch.recycle()
            return .more
        }
        if file.encoding == nil, reader.end < 2 { _ = reader.extend(by: 2 - Int(reader.end)) }
        recogniseEncoding(file, in: reader)
        let wanted = chunkLength(of: file, in: batch)
        let maximumLine = longestLine(of: file, in: batch)
        let had = Int(reader.end - file.offset)
        var outcome = GzipStream.Outcome.bytes(0)
        if had < wanted { outcome = reader.extend(by: wanted - had) }
        // A long line may have left more behind it than a batch holds.
        let chunk = fill(batch, from: reader, of: file, isFinal: outcome == .finished)
        let isLast = outcome == .finished && file.offset + UInt64(chunk.bytes) == reader.end
        let isStuck =
            switch outcome {
            case .bytes, .finished: false
            case .waiting, .damaged: true
            }
        let consumed =
            chunk.count == 0
            ? 0
            : LineSplitter.split(
                batch, count: chunk.count, maximumLine: maximumLine, takesRest: isLast,
                maximumLines: chunk.maximumLines)
        if consumed == 0 {
            defer { batch.recycle() }
            if chunk.isFull || isLast && chunk.count > 0 {
                let text = UnsafeRawBufferPointer(start: batch.block, count: chunk.count)
                let kept = file.isConverted ? TextEncoding.cut(text, to: maximumLine) : min(chunk.count, maximumLine)
                reader.longLine = (Array(text[..<kept]), kept < chunk.count, UInt64(chunk.bytes))
                reader.drop(before: file.offset + UInt64(chunk.bytes))
                return .more
            }
            return isLast ? endArchive(file, nil) : isStuck ? goOn(file, outcome) : .more
        }
        strip(batch, of: file)
        let bytes = noteOffsets(batch, of: file, chunk, consumed: consumed)
        if assemblers[file.input] != nil {
            let sent = sendAssembled(
                batch, of: file, consumed: consumed, maximumLength: maximumLine, isFull: chunk.isFull,
                isClosing: isLast)
            reader.drop(before: file.offset)
            if sent == .held { return .held }
            if sent == .more { return .more }
            return isStuck ? goOn(file, outcome) : .more
        }
        file.marker = marker(of: file, before: file.offset + UInt64(bytes))
        statistics.truncatedLines += UInt64(batch.attributes.count)
        if file.isConverted { lineOffsets.write(to: batch) }
        guard send(batch, of: file, from: file.offset, consumed: UInt64(bytes)) else { return .held }
        reader.drop(before: file.offset)
        file.size = file.offset + 1
        return .more
    }

    /// Passes over the rest of a line that no batch holds; then its beginning is a record.
    private func readLongLine(_ file: TailedFile, _ reader: ArchiveReader) -> Outcome {
        guard var line = reader.longLine else { return .more }
        let seen = file.offset + line.length
        let outcome = reader.end >= seen + UInt64(file.unit) ? .bytes(0) : reader.extend(by: scanScratch.count)
        let isLast = outcome == .finished
        let newline = reader.window.withUnsafeBytes { window in
            let rest = UnsafeRawBufferPointer(rebasing: window[Int(seen - reader.start)...])
            let newline = file.text.newline(in: rest)
            line.length += UInt64(newline ?? (isLast ? rest.count : rest.count / file.unit * file.unit))
            return newline
        }
        reader.longLine = line
        guard newline != nil || isLast else {
            reader.drop(before: reader.end)
            if case .bytes = outcome { return .more }
            return goOn(file, outcome)
        }
        guard let batch = takeDataBatch() else { return .held }
        var flags: RecordFlags = newline == nil ? .unterminated : []
        if line.isCut { flags.insert(.truncated) }
        _ = line.kept.withUnsafeBytes { batch.copyIn($0) }
        batch.append(RecordEntry(start: 0, length: UInt32(line.kept.count), flags: flags))
        if line.isCut {
            LineSplitter.appendLength(Int(clamping: line.length), of: 0, to: batch)
            statistics.truncatedLines += 1
        }
        strip(batch, of: file)
        writeOffset(ofLineAt: file, length: line.length, to: batch)
        let consumed = line.length + UInt64(newline == nil ? 0 : file.unit)
        file.marker = marker(of: file, before: file.offset + consumed)
        reader.longLine = nil
        guard send(batch, of: file, from: file.offset, consumed: consumed) else { return .held }
        reader.drop(before: file.offset)
        file.size = file.offset + 1
        return .more
    }

    /// What comes after a piece that made no record.
    private func goOn(_ file: TailedFile, _ outcome: GzipStream.Outcome) -> Outcome {
        switch outcome {
        case .bytes: return .more
        case .finished: return endArchive(file, "it ends before offset \(file.offset)")
        case .damaged(let reason): return endArchive(file, "it is damaged: \(reason)")
        case .waiting:
            let status = FileStatus(descriptor: file.descriptor)
            if let status, status.modified != file.modified {
                file.modified = status.modified
                file.lastChange = Self.monotonic()
            }
            if Self.monotonic() - file.lastChange >= limits.finalAfter.nanoseconds * 12 {
                return endArchive(file, "nobody writes it to its end")
            }
            wait(file, limits.pollInterval.nanoseconds)
            return .held
        }
    }

    /// It has been read, or cannot be: its position is of no more use.
    private func endArchive(_ file: TailedFile, _ reason: String?) -> Outcome {
        if let reason {
            statistics.readErrors += 1
            logger.warning("\(file.path) of \(file.label) cannot be read on at offset \(file.offset): \(reason)")
        }
        remove(file)
        return .held
    }
}
