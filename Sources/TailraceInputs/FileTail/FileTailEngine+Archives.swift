import Glibc
internal import Logging
internal import TailraceSpool

/// Logs that were rotated and compressed before they were read to their end: the rest is read out of the archive.
///
/// An archive is told by its name and by its content, which must be that of a known position whose file is gone, or of a log
/// before it was truncated whose copy has not been found: its beginning before it is taken in, and the bytes before the
/// position when that has been reached. Archives of generations that nobody has seen are read too, when they are younger than
/// such a one; what was read to its end and is gone is remembered for that. All other compressed files are left alone.
extension FileTailEngine {
    struct ArchiveName {
        var directory: WatchedDirectory
        var name: String
        var status: FileStatus
        /// The logs of which it may be a generation.
        var labels: [String]
    }

    /// Bytes of an archive's content that tell what it is.
    private static let archiveBeginning = 65_536
    private static let maximumRefuted = 1000

    /// An archive that only began as what was read up to a position did.
    struct Refutation: Hashable {
        var archive: FileIdentity
        var source: SourceKey
    }

    static let compressedSuffixes = [".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z"]

    static func isCompressed(_ name: String) -> Bool { compressedSuffixes.contains { name.hasSuffix($0) } }

    /// The logs of which `name` may be an archive, as far as something of them is missing.
    func archiveLabels(of name: String, in directory: WatchedDirectory) -> [String] {
        guard name.hasSuffix(".gz"), !saved.isEmpty || !lost.isEmpty || !abandoned.isEmpty else { return [] }
        let stem = String(name.dropLast(3))
        return ([stem] + RotatedName.originals(of: stem)).map { directory.path(of: $0) }
            .filter { !missingPositions(of: $0).isEmpty }
    }

    /// Positions of generations of a log whose files cannot be found, and which may not have been read to their end.
    private func missingPositions(of label: String) -> [FilePosition] {
        var result = abandoned[label, default: []].map(\.position)
        if savedLabels[label] != nil {
            result += saved.values.joined().filter { $0.label == label && $0.head.length > 0 }
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
        var unknown: [ArchiveName] = []
        for archive in archives where files[archive.status.identity] == nil {
            switch content(of: archive) {
            case .rest(let position, let label):
                adopt(archive, position, label)
                known.append((archive, label))
            case .unknown: unknown.append(archive)
            case .nothing: break
            }
        }
        for (first, label) in known {
            for archive in unknown
            where archive.labels.contains(label) && archive.directory === first.directory
                && files[archive.status.identity] == nil && archive.status.modified >= first.status.modified
                && RotatedName.isOlder(String(first.name.dropLast(3)), than: String(archive.name.dropLast(3)))
            {
                adopt(archive, nil, label)
            }
        }
    }

    private enum ArchiveContent {
        /// That of a missing generation of the log.
        case rest(FilePosition, label: String)
        /// Of no generation that is known.
        case unknown
        /// Of one that is at hand, or was read to its end; or it cannot be told yet.
        case nothing
    }

    private func content(of archive: ArchiveName) -> ArchiveContent {
        let path = archive.directory.path(of: archive.name)
        let descriptor = path.withSystemPath { Glibc.open($0, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) }
        guard descriptor >= 0 else { return .nothing }
        defer { Glibc.close(descriptor) }
        let reader = ArchiveReader(descriptor: descriptor)
        let outcome = reader.extend(to: Self.archiveBeginning)
        func isKnown(_ position: FilePosition) -> Bool {
            reader.agrees(with: position, isWhole: outcome == .finished)
                && !refuted.contains(Refutation(archive: archive.status.identity, source: position.key))
        }
        for label in archive.labels {
            if let position = missingPositions(of: label).first(where: isKnown) { return .rest(position, label: label) }
        }
        let isHeld = archive.labels.contains { label in
            retired[label, default: []].contains { isKnown($0.position) }
                || files.values.contains { $0.label == label && $0.candidateLabel == nil && isKnown($0.position) }
        }
        if isHeld { return .nothing }
        switch outcome {
        case .bytes, .finished: return .unknown
        case .damaged: return .nothing
        case .waiting:
            let age = wallClockMilliseconds() - archive.status.modified / 1_000_000
            if age < limits.forgetAfter.nanoseconds / 1_000_000, unfinishedArchives.count < 1000 {
                let key = TouchedKey(directory: ObjectIdentifier(archive.directory), name: archive.name)
                unfinishedArchives[key] = (archive.directory, archive.name)
            }
            return .nothing
        }
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
        file.becomeArchive(modified: archive.status.modified, ofUnseen: position == nil)
        file.size = file.offset + 1
        file.lastChange = Self.monotonic()
        adopted += 1
        files[identity] = file
        archive.directory.names[archive.name] = file
        if let other = youngest[label] { other.insertPredecessor(file) } else { youngest[label] = file }
        statistics.archives += 1
        logger.info("\(file.path) is an archive of \(label), read from offset \(file.offset) of its content")
        logger.debug("\(file.described): known now; \((youngest[label] ?? file).lineage)")
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
        openFiles.append(file)
        if reader.end < file.offset {
            let outcome = reader.extend(by: Int(min(UInt64(scanScratch.count), file.offset - reader.end)))
            recogniseEncoding(file, in: reader)
            reader.drop(before: reader.end)
            return goOn(file, outcome)
        }
        if !reader.isChecked {
            let length = Int(file.marker.length)
            guard reader.hash(from: file.offset - UInt64(length), length: length) == file.marker else {
                return refute(file)
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
        case .finished:
            // A copy that was made before all of that was written has nothing new.
            let isKnown = file.archive?.agrees(with: file.position, isWhole: true) ?? false
            return isKnown ? endArchive(file, nil) : refute(file)
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

    /// It only began as what was read did: that is still missing, and the archive something else.
    private func refute(_ file: TailedFile) -> Outcome {
        let position = file.position
        logger.info(
            "\(file.path) is no archive of what was read of \(file.label) up to offset \(file.offset): its content differs"
        )
        if refuted.count >= Self.maximumRefuted { refuted = [] }
        refuted.insert(Refutation(archive: file.identity, source: position.key))
        saved[position.identity.withoutDevice, default: []].append(position)
        savedInodes.insert(position.identity.inode)
        let directory = file.directory
        discard(file)
        // What it is, and which archive is the one, is looked for again.
        if let directory { scan(directory) }
        settleTouched()
        return .held
    }

    /// It has been read, or cannot be.
    private func endArchive(_ file: TailedFile, _ reason: String?) -> Outcome {
        if let reason {
            statistics.readErrors += 1
            logger.warning("\(file.path) of \(file.label) cannot be read on at offset \(file.offset): \(reason)")
        }
        retire(file)
        return .held
    }
}
