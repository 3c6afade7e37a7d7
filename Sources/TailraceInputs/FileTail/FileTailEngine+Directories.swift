import CTailrace
import Glibc
internal import Logging

extension FileTailEngine {
    /// Directories looked at in one walk at most; beyond it they are left out, with a warning.
    static let maximumDirectories = 100_000

    /// Finds every directory that can contain matches, watches it (before it is listed, so that nothing falls between)
    /// and looks at every name in it. Directories that are gone are let go.
    func walkDirectories() {
        walk += 1
        var queue: [String] = []
        for (inputIndex, input) in inputs.enumerated() {
            for (patternIndex, pattern) in input.include.enumerated() {
                var state = pattern.start
                for name in pattern.base.split(separator: "/") {
                    state = pattern.entering(String(name), from: state)
                }
                if let status = FileStatus(path: pattern.base), status.isDirectory {
                    want(pattern.base, (inputIndex, patternIndex, state), &queue)
                } else {
                    let code = errno
                    if code == EACCES || code == EPERM {
                        setPathTrouble(pattern.base, input: inputIndex, code)
                    } else {
                        troubledPaths[pattern.base] = nil
                    }
                    watchAncestor(of: pattern.base)
                }
            }
        }
        var index = 0
        while index < queue.count {
            if index == Self.maximumDirectories {
                logger.warning(
                    "more than \(index) directories can match; the rest is not looked at: narrow the patterns")
                break
            }
            if let directory = directories[queue[index]] { visit(directory, &queue) }
            index += 1
        }
        for directory in directories.values where directory.walk != walk { drop(directory) }
        settleTouched()
        firstWalks = []
        countPolled()
        if saidWatchLimit, directories.values.allSatisfy({ $0.watch >= 0 }) {
            saidWatchLimit = false
            logger.info("every directory has an inotify watch again")
        }
    }

    private func want(
        _ path: String, _ state: (input: Int, pattern: Int, state: GlobPattern.State), _ queue: inout [String]
    ) {
        let directory = directories[path] ?? WatchedDirectory(path: path)
        if directory.walk != walk {
            directory.walk = walk
            directory.states = []
            directories[path] = directory
            queue.append(path)
        }
        if !directory.states.contains(where: { $0 == state }) { directory.states.append(state) }
    }

    private func visit(_ directory: WatchedDirectory, _ queue: inout [String]) {
        noteIdentity(directory)
        guard watch(directory) else {
            directory.walk = 0
            return
        }
        scan(directory) { name, mayBeLink in
            for (input, pattern, state) in directory.states {
                let glob = inputs[input].include[pattern]
                guard glob.descends(from: state) else { continue }
                let next = glob.entering(name, from: state)
                if next.isDead { continue }
                if mayBeLink {
                    // Links to directories are followed where a component names them, never under `**` (loops).
                    if next.next.contains(where: {
                        glob.components.indices.contains($0) && glob.components[$0].isAnyDepth
                    }) {
                        continue
                    }
                    guard let status = FileStatus(path: directory.path(of: name)), status.isDirectory else { continue }
                }
                want(directory.path(of: name), (input, pattern, next), &queue)
            }
        }
    }

    /// A path may lead to another directory than before: a link on its way was switched, or a file system mounted.
    private func noteIdentity(_ directory: WatchedDirectory) {
        let identity = FileStatus(path: directory.path)?.identity
        guard identity != directory.identity else { return }
        if directory.identity != nil { stopWatching(directory) }
        directory.identity = identity
        directory.isRemote = directory.path.withSystemPath { tailrace_is_remote($0) } != 0
        var resolved = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        directory.isBehindLink = directory.path.withSystemPath {
            realpath($0, &resolved) != nil && strcmp(resolved, $0) != 0
        }
    }

    /// False when the directory is another path to one that is watched already.
    private func watch(_ directory: WatchedDirectory) -> Bool {
        guard directory.watch < 0, let inotify else { return true }
        let isExhausted = watches.count >= limits.maximumWatches
        let watch = isExhausted ? -1 : inotify.add(directory.path, mask: Inotify.directoryMask)
        if watch < 0 {
            let code = isExhausted ? ENOSPC : errno
            if code == ENOSPC || code == EMFILE || code == ENOMEM {
                if !saidWatchLimit {
                    saidWatchLimit = true
                    logger.warning(
                        """
                        no inotify watch for \(directory.path): \(describeErrno(code)); it and others are polled every \
                        \(limits.pollInterval); raise the sysctl fs.inotify.max_user_watches
                        """)
                }
            }
            return true
        }
        if case .directory(let other) = watches[watch], other !== directory {
            if other.walk == walk { return false }
            // It has been renamed: the old path goes.
            let stillThere = FileStatus(path: other.path)?.identity == FileStatus(path: directory.path)?.identity
            if stillThere { return false }
            other.watch = -1
            drop(other)
        }
        directory.watch = watch
        watches[watch] = .directory(directory)
        return true
    }

    /// The base of a pattern does not exist: the nearest directory above it tells when something is made in it.
    private func watchAncestor(of path: String) {
        guard let inotify else { return }
        var path = path[...]
        while let slash = path.lastIndex(of: "/") {
            let child = String(path)
            path = path[..<slash]
            let parent = path.isEmpty ? "/" : String(path)
            if let status = FileStatus(path: parent), status.isDirectory {
                if let known = directories[parent], known.watch >= 0 { return }
                let watch = inotify.add(parent, mask: Inotify.ancestorMask)
                if watch >= 0, watches[watch] == nil { watches[watch] = .ancestor }
                // Made before there was a watch to tell of it: nothing else would, until the next rescan.
                if FileStatus(path: child)?.isDirectory ?? false { wantsWalk = true }
                return
            }
            if path.isEmpty { return }
        }
    }

    func drop(_ directory: WatchedDirectory) {
        directories[directory.path] = nil
        stopWatching(directory)
        for watch in directory.linkWatches.values {
            watches[watch] = nil
            inotify?.remove(watch)
        }
        directory.linkWatches = [:]
        for file in Array(directory.names.values) { unbind(file) }
        for (key, entry) in linkNames where entry.directory === directory { linkNames[key] = nil }
    }

    private func stopWatching(_ directory: WatchedDirectory) {
        guard directory.watch >= 0 else { return }
        watches[directory.watch] = nil
        inotify?.remove(directory.watch)
        directory.watch = -1
    }

    func countPolled() {
        statistics.polledDirectories = directories.values.count { $0.isPolled }
        linkedDirectories = directories.values.count { $0.isBehindLink }
    }

    /// Looks at every name of the directory that matters; tells of those that are, or may be, directories.
    func scan(_ directory: WatchedDirectory, subdirectory: (_ name: String, _ mayBeLink: Bool) -> Void = { _, _ in }) {
        shared.mark.work()
        guard let stream = directory.path.withSystemPath({ opendir($0) }) else {
            let code = errno
            if code == ENOENT || code == ENOTDIR {
                troubledPaths[directory.path] = nil
            } else {
                setPathTrouble(directory.path, input: directory.states.first?.input ?? 0, code)
            }
            return
        }
        if troubledPaths.removeValue(forKey: directory.path) != nil { wantsWalk = true }
        defer { closedir(stream) }
        var found: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                FileName.text($0.prefix { $0 != 0 })
            }
            if name == "." || name == ".." { continue }
            let type = Int(entry.pointee.d_type)
            if type == Int(DT_DIR) {
                subdirectory(name, false)
                continue
            }
            if type == Int(DT_LNK) || type == Int(DT_UNKNOWN) { subdirectory(name, true) }
            let matters =
                directory.names[name] != nil || input(of: name, in: directory) != nil
                || savedInodes.contains(UInt64(entry.pointee.d_ino)) || rotationLabel(of: name, in: directory) != nil
                || Self.isCompressed(name) && !archiveLabels(of: name, in: directory).isEmpty
            if matters { found.append(name) }
        }
        // Rotations move files to higher numbers: looking in that order, a file that moves meanwhile is met twice, not
        // missed.
        found.sort { $0.utf8.count != $1.utf8.count ? $0.utf8.count < $1.utf8.count : $0 < $1 }
        for name in found { touch(directory, name) }
        for name in directory.names.keys { touch(directory, name) }
    }

    /// The first input that has the file `name` of this directory.
    func input(of name: String, in directory: WatchedDirectory) -> Int? {
        for (input, pattern, state) in directory.states
        where inputs[input].include[pattern].matchesFile(name, in: state) {
            if inputs[input].exclude.contains(where: { $0.matches(directory: directory.path, name: name) }) { continue }
            return input
        }
        return nil
    }

    /// The first input that has the file at `path`, wherever that is.
    func input(ofPath path: String) -> Int? {
        guard let slash = path.lastIndex(of: "/") else { return nil }
        let directory = String(path[..<slash]), name = String(path[path.index(after: slash)...])
        return inputs.indices.first { index in
            inputs[index].include.contains { $0.matches(path: path) }
                && !inputs[index].exclude.contains { $0.matches(directory: directory, name: name) }
        }
    }

    /// The known log of which `name` looks like a rotation.
    func rotationLabel(of name: String, in directory: WatchedDirectory) -> String? {
        for original in RotatedName.originals(of: name) {
            let path = directory.path(of: original)
            if youngest[path] != nil || savedLabels[path] != nil { return path }
        }
        return nil
    }
}
