package import TailraceInputs

/// Why a path is read, waits, or is ignored: what the configuration, the file system, the stored positions and, when
/// the agent runs, its file inputs say of it.
package struct PathExplanation: Equatable, Sendable {
    package enum Verdict: String, Equatable, Sendable {
        /// Its lines are taken as they come.
        case read
        /// It will be read once what the reason names has changed.
        case waiting
        /// It is none of the agent's.
        case ignored
        /// It was rotated away and has been read to its end.
        case finished
        /// It is not there any more.
        case gone
    }

    /// A pattern of an input that matches the path.
    package struct Match: Equatable, Sendable {
        package var input: String
        package var pattern: String
    }

    package let path: String
    package private(set) var verdict = Verdict.ignored
    package private(set) var reason = ""
    /// What somebody can do about it.
    package private(set) var remedy: String?
    package private(set) var includes: [Match] = []
    package private(set) var excludes: [Match] = []
    package let facts: PathFacts
    package let known: KnownFile?
    package let stored: StoredFilePosition?
    package let state: AgentState

    package enum AgentState: Equatable, Sendable {
        case running
        /// The spool takes nothing, so the file inputs do not answer.
        case heldBack
        case stopped
    }

    /// - Parameters:
    ///   - path: absolute.
    ///   - known: what the running agent's file inputs know of it.
    ///   - positions: what the spool holds.
    package init(
        _ path: String, inputs: [InputSettings], facts: PathFacts, known: KnownFile?,
        positions: [StoredFilePosition], state: AgentState
    ) {
        self.path = path
        self.facts = facts
        self.known = known
        self.state = state
        stored =
            positions.filter {
                facts.inode != 0 ? $0.inode == facts.inode && $0.device == facts.device : $0.path == path
            }
            .max { $0.generation < $1.generation }
        var start: FileInputSettings.Start?
        for input in inputs {
            guard case .file(let settings) = input.kind else { continue }
            let found = settings.include.filter { GlobPattern($0)?.matches(path: path) ?? false }
            guard !found.isEmpty else { continue }
            includes += found.map { Match(input: input.name, pattern: $0) }
            let excluding = settings.exclude.filter { ExcludePattern($0).matches(path: path) }
            excludes += excluding.map { Match(input: input.name, pattern: $0) }
            if excluding.isEmpty, start == nil { start = settings.start }
        }
        if let known, facts.kind == .file || facts.kind == .missing {
            conclude(known)
        } else {
            conclude(isWanted: start != nil, start: start ?? .beginning)
        }
    }

    /// `path` as the agent knows it: from the root, without `.`, `..` and doubled slashes, bytes that are no UTF-8 as `\xNN`.
    package static func absolute(_ path: String, in directory: String) -> String {
        var names: [Substring] = []
        for name in (path.hasPrefix("/") ? path : "\(directory)/\(path)").split(separator: "/") where name != "." {
            if name == ".." { _ = names.popLast() } else { names.append(name) }
        }
        return FileName.canonical("/" + names.joined(separator: "/"))
    }

    // MARK: - What the agent knows

    private mutating func conclude(_ known: KnownFile) {
        let state = known.state
        let lag = state.lag
        if state.path != path, facts.kind == .file { reason = "the same file as \(state.path), and read there; " }
        if case .troubled(let text) = state.condition {
            verdict = .waiting
            reason += "it cannot be read"
            remedy = facts.missingRight ?? text
        } else if state.condition == .copying {
            verdict = .waiting
            reason += "it looks like a copy of \(known.copyOf ?? state.source) that is still being made"
        } else if state.condition == .missing || facts.kind == .missing && state.condition != .unlinked {
            verdict = .gone
            reason += "it cannot be found; read up to offset \(state.offset), where it goes on if it comes back"
        } else if let before = known.predecessor {
            verdict = .waiting
            reason +=
                "an older generation of the same log is read to its end first: \(before.path), \(before.unread) bytes left"
        } else if lag == 0 {
            let isOver = state.condition == .rotated || state.condition == .unlinked
            verdict = isOver ? .finished : .read
            reason += isOver ? "rotated away and read to its end" : "read to its end"
        } else if known.unfinishedLine > 0 {
            verdict = .read
            reason +=
                "read to the end of its last whole line; \(counted(Int(clamping: known.unfinishedLine), "byte"))"
                + " of a line without newline follow"
        } else {
            verdict = .read
            reason += "being read: \(counted(Int(clamping: lag), "byte")) to go"
        }
    }

    // MARK: - What nobody has read yet

    private mutating func conclude(isWanted: Bool, start: FileInputSettings.Start) {
        switch facts.kind {
        case .directory:
            reason = "it is a directory"
            remedy = "to read the files in it, add \"\(path)/*\" to an input's include"
            return
        case .pipe, .socket, .device:
            reason = "it is a \(facts.kind.rawValue): only regular files are read"
            return
        default: break
        }
        if let exclude = excludes.first, !isWanted {
            reason = "excluded by the pattern \(exclude.pattern) of input \(exclude.input)"
            return
        }
        guard isWanted else {
            reason = "no file input has a pattern that matches it"
            let name = path.split(separator: "/").last ?? ""
            remedy =
                name.hasPrefix(".") && !includes.isEmpty
                ? "a wildcard does not stand for the dot at the beginning of a name: write it"
                : "add the path or a pattern to an input's include"
            if facts.kind == .missing, let stored {
                verdict = .gone
                reason = "it is gone; its position, offset \(stored.offset), is kept"
                remedy = nil
            }
            return
        }
        verdict = .waiting
        switch facts.kind {
        case .missing:
            reason = "there is no such file; it is read from its beginning when it appears"
            if let stored {
                verdict = .gone
                reason = "it is gone; read up to offset \(stored.offset), where it goes on if it comes back"
            }
        case .danglingLink: reason = "the link leads to \(facts.linkTarget ?? "a path") where nothing is"
        case .unreachable:
            reason = "it cannot be reached"
            remedy = facts.missingRight
        default:
            if let right = facts.missingRight {
                reason = "it cannot be read"
                remedy = right
            } else if state == .heldBack {
                reason = "the spool takes nothing, and holds the file inputs back"
                remedy = "see tailrace status"
            } else if state == .running {
                reason = "it has not been come across yet; directories are looked through again every minute"
            } else if let stored {
                reason = "the agent does not run; it goes on at offset \(stored.offset)"
                remedy = "start it: tailrace run"
            } else {
                reason = "the agent does not run; it begins at the file's \(start == .end ? "end" : "beginning")"
                remedy = "start it: tailrace run"
            }
        }
    }
}

extension ExcludePattern {
    fileprivate func matches(path: String) -> Bool {
        guard let slash = path.lastIndex(of: "/") else { return false }
        return matches(directory: String(path[..<slash]), name: String(path[path.index(after: slash)...]))
    }
}
