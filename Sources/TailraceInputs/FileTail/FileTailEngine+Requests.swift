import Glibc
internal import Logging
internal import TailraceSpool

/// A file that the tailer knows, seen from its thread.
package struct KnownFile: Equatable, Sendable {
    package var state: TailedFileState
    /// Nanoseconds since 1970.
    package var birth: Int64 = 0
    /// An older generation of the same log has to be read to its end first: where it is, and its unread bytes.
    package var predecessor: (path: String, unread: UInt64)?
    /// Unread bytes behind the last newline.
    package var unfinishedLine: UInt64 = 0
    /// Of the log that it looks like a copy of.
    package var copyOf: String?
    /// How its bytes stand for text; nil until that is known.
    package var encoding: TextEncoding?

    package static func == (a: KnownFile, b: KnownFile) -> Bool {
        a.state == b.state && a.birth == b.birth && a.predecessor?.path == b.predecessor?.path
            && a.predecessor?.unread == b.predecessor?.unread && a.unfinishedLine == b.unfinishedLine
            && a.copyOf == b.copyOf && a.encoding == b.encoding
    }
}

/// Where a position is put by hand.
package enum PositionPlace: Equatable, Sendable {
    /// A line's first byte.
    case offset(UInt64)
    /// Behind the last line that is finished.
    case end
}

/// A position that was moved or forgotten by hand.
package struct PositionChange: Equatable, Sendable {
    package var path: String
    package var source: String
    package var from: UInt64
    /// Nil when nothing is kept of the source.
    package var to: UInt64?
    package var isReadAgain: Bool
}

package struct PositionRefusal: Error, Equatable, Sendable {
    package var reason: String
}

extension FileTailEngine {
    /// The file at the path, or the one that was there last.
    func known(at path: String) -> TailedFile? {
        if let status = FileStatus(path: path), let file = files[status.identity] { return file }
        let candidates = files.values.filter { $0.path == path }
        return candidates.first { $0.directory != nil } ?? candidates.max { $0.order < $1.order }
    }

    func explain(_ path: String) -> KnownFile? {
        guard let file = known(at: path) else { return nil }
        var known = KnownFile(state: state(of: file), birth: file.identity.birth)
        known.encoding = file.encoding
        if let before = file.predecessor, !before.isRemoved {
            known.predecessor = (before.path, before.size > before.offset ? before.size - before.offset : 0)
        }
        if file.scannedTo > file.offset, file.scannedTo >= file.size { known.unfinishedLine = file.size - file.offset }
        known.copyOf = file.candidateLabel
        if file.isCopy { known.copyOf = file.label }
        return known
    }

    // MARK: - Positions by hand

    func setPosition(_ path: String, to place: PositionPlace) -> Result<PositionChange, PositionRefusal> {
        guard let file = known(at: path) else {
            return .failure(PositionRefusal(reason: "no file input has a file at \(path): see tailrace explain"))
        }
        if let label = file.candidateLabel {
            return .failure(
                PositionRefusal(reason: "\(path) may be a copy of \(label) that is still being made: try again"))
        }
        let descriptor =
            file.descriptor >= 0
            ? file.descriptor : file.path.withSystemPath { Glibc.open($0, O_RDONLY | O_NONBLOCK | O_CLOEXEC) }
        defer { if descriptor >= 0, descriptor != file.descriptor { Glibc.close(descriptor) } }
        guard descriptor >= 0, let status = FileStatus(descriptor: descriptor) else {
            return .failure(PositionRefusal(reason: "cannot read \(path): \(describeErrno(errno))"))
        }
        guard status.identity == file.identity else {
            return .failure(PositionRefusal(reason: "\(path) has just been replaced by another file: try again"))
        }
        let encoding = encoding(of: file, descriptor)
        switch Self.offset(of: place, descriptor, size: status.size, encoding) {
        case .failure(let refusal): return .failure(PositionRefusal(reason: "\(path) \(refusal.reason)"))
        case .success(let offset):
            let before = file.offset
            var position = file.position
            position.offset = offset
            let head = min(offset, UInt64(FilePosition.maximumHead))
            let marker = min(offset, UInt64(FilePosition.maximumMarker))
            position.head = ContentHash(of: descriptor, from: 0, length: Int(head)) ?? .empty
            position.marker = ContentHash(of: descriptor, from: offset - marker, length: Int(marker)) ?? .empty
            position.marks = ContentMarks()
            position.marks.extend(to: offset) { ContentHash(of: descriptor, from: $0, length: $1) }
            file.load(position)
            file.open = nil
            file.check = .none
            file.size = status.size
            note(position)
            enqueue(file)
            return .success(
                PositionChange(
                    path: file.path, source: file.label, from: before, to: offset, isReadAgain: offset < before))
        }
    }

    private static func offset(
        of place: PositionPlace, _ descriptor: Int32, size: UInt64, _ encoding: TextEncoding
    ) -> Result<UInt64, PositionRefusal> {
        switch place {
        case .end: return .success(lineStart(descriptor, before: size, encoding))
        case .offset(let offset):
            guard offset <= size else { return .failure(PositionRefusal(reason: "has only \(size) bytes")) }
            let start = lineStart(descriptor, before: offset, encoding)
            guard start == offset else {
                return .failure(
                    PositionRefusal(reason: "has no line that begins at \(offset): the one there begins at \(start)"))
            }
            return .success(offset)
        }
    }

    /// The first byte of the line that `offset` lies in: behind the newline before it.
    private static func lineStart(_ descriptor: Int32, before offset: UInt64, _ encoding: TextEncoding) -> UInt64 {
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            var end = offset - offset % UInt64(encoding.unit)
            while end > 0 {
                let count = Int(min(end, UInt64(buffer.count)))
                let at = end - UInt64(count)
                guard readFully(descriptor, into: buffer, count: count, offset: at) == count else { return offset }
                if let newline = encoding.lastNewline(in: UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
                    return at + UInt64(newline + encoding.unit)
                }
                end = at
            }
            return 0
        }
    }

    /// As if the file had never been seen: when it is still there, it is read from its beginning.
    func forgetPosition(_ path: String) -> Result<PositionChange, PositionRefusal> {
        if let file = known(at: path) {
            let before = file.position
            var change = PositionChange(
                path: file.path, source: file.label, from: file.offset, to: nil, isReadAgain: false)
            guard file.missingSince == 0, !file.isUnlinked else {
                remove(file)
                return .success(change)
            }
            file.beginGeneration(before.generation &+ 1)
            file.check = .none
            note(file.position)
            forget(before)
            enqueue(file)
            change.to = 0
            change.isReadAgain = before.offset > 0
            return .success(change)
        }
        guard let position = saved.values.joined().first(where: { $0.path == path }) else {
            return .failure(PositionRefusal(reason: "there is no position of \(path): see tailrace positions list"))
        }
        let key = position.identity.withoutDevice
        saved[key]?.removeAll { $0 == position }
        if saved[key]?.isEmpty == true {
            saved[key] = nil
            savedInodes.remove(position.identity.inode)
        }
        if savedLabels[position.label] == position { savedLabels[position.label] = nil }
        forget(position)
        return .success(
            PositionChange(path: path, source: position.label, from: position.offset, to: nil, isReadAgain: false))
    }
}

extension FileTailer {
    /// What the tailer knows of the file at an absolute path. The outer nil: it did not answer in time.
    package func explain(_ path: String, timeoutMilliseconds: Int = 2_000) -> KnownFile?? {
        ask(changes: false, timeoutMilliseconds) { $0.explain(path) }
    }

    /// Moves the position of a followed file. Nil: the tailer is held up, by a full spool perhaps, and nothing was done.
    package func setPosition(
        _ path: String, to place: PositionPlace, timeoutMilliseconds: Int = 2_000
    ) -> Result<PositionChange, PositionRefusal>? {
        ask(changes: true, timeoutMilliseconds) { $0.setPosition(path, to: place) }
    }

    /// Forgets how far the file was read, as `setPosition`.
    package func forgetPosition(
        _ path: String, timeoutMilliseconds: Int = 2_000
    ) -> Result<PositionChange, PositionRefusal>? {
        ask(changes: true, timeoutMilliseconds) { $0.forgetPosition(path) }
    }

    /// Waits until the sink has every position that was moved before. False when it did not take them in time.
    package func handOverPositions(timeoutMilliseconds: Int = 5_000) -> Bool {
        // Between two rounds: what was noted in one is handed over before the next.
        ask(changes: true, timeoutMilliseconds) { $0.pendingPositions.isEmpty } ?? false
    }
}
