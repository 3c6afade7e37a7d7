import Glibc
internal import Logging
internal import TailraceSpool

extension FileTailEngine {
    // MARK: - Events

    /// Takes what inotify has and looks at the names concerned; false when there was nothing.
    func readEvents() -> Bool {
        guard let inotify else { return false }
        // A few reads before names are looked at: what is gone again by then costs nothing.
        var any = false
        for _ in 0..<8 {
            guard inotify.read(take) else { break }
            any = true
        }
        if any { settleTouched() }
        return any
    }

    private func take(_ event: Inotify.Event) {
        if event.isOverflow {
            statistics.queueOverflows += 1
            wantsWalk = true
            return
        }
        guard let target = watches[event.watch] else { return }
        switch target {
        case .ancestor:
            if event.has(IN_IGNORED) { watches[event.watch] = nil }
            if event.isDirectory || event.has(IN_DELETE_SELF) || event.has(IN_MOVE_SELF) || event.name.isEmpty {
                wantsWalk = true
            }
        case .linkTarget(let directory, let name):
            if event.has(IN_IGNORED) {
                watches[event.watch] = nil
                if directory.linkWatches[name] == event.watch { directory.linkWatches[name] = nil }
            } else if event.has(IN_MODIFY), let file = directory.names[name] {
                enqueue(file)
            } else {
                touch(directory, name)
            }
        case .directory(let directory): take(event, in: directory)
        }
    }

    private func take(_ event: Inotify.Event, in directory: WatchedDirectory) {
        if event.has(IN_IGNORED) {
            watches[event.watch] = nil
            directory.watch = -1
            wantsWalk = true
            return
        }
        if event.name.isEmpty {
            // The directory itself was removed or renamed: its files are found again by identity, if they are anywhere.
            if event.has(IN_DELETE_SELF) || event.has(IN_MOVE_SELF) {
                dropTree(directory.path)
                wantsWalk = true
            } else if event.has(IN_ATTRIB) {
                // Its names may be within reach now.
                wantsWalk = true
            }
            return
        }
        if event.isDirectory {
            if event.has(IN_MOVED_FROM) { dropTree(directory.path(of: event.name)) }
            if event.has(IN_CREATE) || event.has(IN_MOVED_TO) || event.has(IN_MOVED_FROM) || event.has(IN_ATTRIB) {
                wantsWalk = true
            }
            return
        }
        if event.has(IN_MODIFY) {
            if let file = directory.names[event.name] {
                enqueue(file)
            } else if input(of: event.name, in: directory) != nil {
                touch(directory, event.name)
            }
            return
        }
        let path = directory.path(of: event.name)
        if event.has(IN_MOVED_FROM) {
            if let label = renamedLabels.removeValue(forKey: path) ?? ownLabel(of: event.name, in: directory) {
                renames[event.cookie] = label
            }
        } else if event.has(IN_MOVED_TO), let label = renames.removeValue(forKey: event.cookie) {
            renamedLabels[path] = label
        }
        let matters =
            directory.names[event.name] != nil || input(of: event.name, in: directory) != nil
            || renamedLabels[path] != nil
            || Self.isCompressed(event.name) && !archiveLabels(of: event.name, in: directory).isEmpty
            || event.has(IN_MOVED_TO) && !savedInodes.isEmpty
            || (event.has(IN_MOVED_TO) || event.has(IN_CREATE)) && rotationLabel(of: event.name, in: directory) != nil
        if event.has(IN_DELETE) { renamedLabels[path] = nil }
        if matters { touch(directory, event.name) }
    }

    /// The log whose own name this is. What a rotation's name stood for when it was renamed nobody can say: by now another
    /// file may have it, and each may be a copy.
    private func ownLabel(of name: String, in directory: WatchedDirectory) -> String? {
        if rotationLabel(of: name, in: directory) != nil { return nil }
        if let file = directory.names[name] { return file.label }
        return input(of: name, in: directory) != nil ? directory.path(of: name) : nil
    }

    private func dropTree(_ path: String) {
        for directory in directories.values where directory.path == path || directory.path.hasPrefix(path + "/") {
            drop(directory)
        }
    }

    func touch(_ directory: WatchedDirectory, _ name: String) {
        if touchedKeys.insert(TouchedKey(directory: ObjectIdentifier(directory), name: name)).inserted {
            touched.append((directory, name))
        }
    }

    /// Looks at the touched names, then takes in what was found, the oldest first.
    func settleTouched() {
        let names = touched
        touched = []
        touchedKeys = []
        for (directory, name) in names { look(directory, name) }
        // Halves of renames whose other half is not there yet, and names that have moved on before they were looked at,
        // wait for the events that explain them; those that no event explains are not many.
        if renames.count > 1024 { renames = [:] }
        if renamedLabels.count > 1024 { renamedLabels = [:] }
        let found = newcomers.sorted {
            $0.status.age != $1.status.age ? $0.status.age < $1.status.age : RotatedName.isOlder($0.name, than: $1.name)
        }
        newcomers = []
        for newcomer in found { adopt(newcomer) }
        if !archives.isEmpty {
            let found = archives
            archives = []
            adoptArchives(found)
        }
    }

    // MARK: - Names

    /// Compares what the name stands for now with what it stood for.
    private func look(_ directory: WatchedDirectory, _ name: String) {
        guard directories[directory.path] === directory else { return }
        let path = directory.path(of: name)
        let key = TouchedKey(directory: ObjectIdentifier(directory), name: name)
        var isLink = false
        guard var status = FileStatus(path: path, follow: false) else {
            let code = errno
            if code == EACCES || code == EPERM {
                // It may well be there: what is open of it is read on.
                if let input = input(of: name, in: directory) { setPathTrouble(path, input: input, code) }
                return
            }
            troubledPaths[path] = nil
            linkNames[key] = nil
            unfinishedArchives[key] = nil
            if let file = directory.names[name] { unbind(file) }
            return
        }
        if status.isLink {
            if linkNames[key] == nil, input(of: name, in: directory) != nil { linkNames[key] = (directory, name) }
            guard let target = FileStatus(path: path) else {
                if let file = directory.names[name] { unbind(file) }
                return
            }
            status = target
            isLink = true
        } else {
            linkNames[key] = nil
        }
        let bound = directory.names[name]
        guard status.isRegular else {
            if let bound { unbind(bound) }
            return
        }
        defer { renamedLabels[path] = nil }
        if let bound {
            if bound.identity == status.identity {
                if bound.size != status.size || bound.modified != status.modified || bound.trouble != 0 {
                    enqueue(bound)
                }
                return
            }
            unbind(bound)
        }
        if isLink, input(of: name, in: directory) != nil { watchTarget(of: directory, name) }
        if let known = files[status.identity] {
            rebind(known, to: directory, name)
            return
        }
        found(directory, name, status)
    }

    /// A file that is not known: taken in when an input has it, a position tells of it, or it is a rotation of a log.
    private func found(_ directory: WatchedDirectory, _ name: String, _ status: FileStatus) {
        let path = directory.path(of: name)
        if Self.isCompressed(name) {
            unfinishedArchives[TouchedKey(directory: ObjectIdentifier(directory), name: name)] = nil
            let labels = archiveLabels(of: name, in: directory)
            if !labels.isEmpty {
                archives.append(ArchiveName(directory: directory, name: name, status: status, labels: labels))
            }
            return
        }
        let renamedFrom = renamedLabels[path]
        var input = input(of: name, in: directory)
        if input == nil, let renamedFrom { input = self.input(ofPath: renamedFrom) }
        if input == nil, let position = savedPosition(of: status.identity) {
            input = self.input(ofPath: position.label)
        }
        if input == nil, let label = rotationLabel(of: name, in: directory), mayBeRotation(of: label, status) {
            input = self.input(ofPath: label)
        }
        guard let input else { return }
        newcomers.append(
            Newcomer(directory: directory, name: name, status: status, input: input, renamedFrom: renamedFrom))
    }

    /// Whether a file that no pattern has may hold something of the log `label`: it came to be after the log did, and was not
    /// looked at before.
    private func mayBeRotation(of label: String, _ status: FileStatus) -> Bool {
        if let stranger = strangers[status.identity], stranger.size == status.size,
            stranger.modified == status.modified
        {
            return false
        }
        guard let birth = youngest[label]?.eldestBirth ?? savedLabels[label]?.identity.birth else { return false }
        return status.identity.birth == 0 || status.identity.birth >= birth
    }

    /// Whether a file of this age was the log `label` after a generation that we know, and before the present one.
    private func isUnseenGeneration(of label: String, _ status: FileStatus) -> Bool {
        guard status.identity.birth != 0 else { return false }
        if let position = savedLabels[label], position.identity.birth < status.identity.birth,
            FileStatus(path: label)?.identity.withoutDevice != position.identity.withoutDevice
        {
            return true
        }
        guard let file = youngest[label], file.eldestBirth < status.identity.birth else { return false }
        if file.isRotated || status.identity.birth < file.identity.birth { return true }
        // The youngest that we know may have been renamed by an event that is still to come.
        return FileStatus(path: label)?.identity != file.identity
    }

    private func savedPosition(of identity: FileIdentity) -> FilePosition? {
        let candidates = saved[identity.withoutDevice] ?? []
        return candidates.first { $0.identity == identity } ?? candidates.first
    }

    private func rebind(_ file: TailedFile, to directory: WatchedDirectory, _ name: String) {
        if let old = file.directory {
            // Another name for the same file: the first one stays.
            if old === directory, file.name == name { return }
            if FileStatus(path: file.path)?.identity == file.identity { return }
            if old.names[file.name] === file { old.names[file.name] = nil }
        }
        directory.names[name] = file
        file.move(to: directory, name: name)
        lost[file.identity.withoutDevice] = nil
        file.missingSince = 0
        file.searchedSince = nil
        enqueue(file)
    }

    /// Its name is gone, or stands for something else.
    func unbind(_ file: TailedFile) {
        if let directory = file.directory {
            if directory.names[file.name] === file { directory.names[file.name] = nil }
            if let watch = directory.linkWatches.removeValue(forKey: file.name) {
                watches[watch] = nil
                inotify?.remove(watch)
            }
        }
        file.move(to: nil, name: file.name)
        lost[file.identity.withoutDevice] = file
        if file.descriptor >= 0 {
            enqueue(file)
        } else {
            file.missingSince = Self.monotonic()
        }
    }

    private func watchTarget(of directory: WatchedDirectory, _ name: String) {
        guard let inotify else { return }
        let watch = inotify.add(directory.path(of: name), mask: Inotify.targetMask)
        guard watch >= 0 else { return }
        if let old = directory.linkWatches[name], old != watch {
            watches[old] = nil
            inotify.remove(old)
        }
        if watches[watch] == nil {
            watches[watch] = .linkTarget(directory, name: name)
            directory.linkWatches[name] = watch
        }
    }

    // MARK: - New files

    private func adopt(_ newcomer: Newcomer) {
        let status = newcomer.status
        guard files[status.identity] == nil else {
            // Two names of one new file.
            return
        }
        let position = takeSaved(status.identity) ?? takeLost(status.identity)
        let file = TailedFile(
            identity: status.identity, keyIdentity: position?.identity ?? status.identity,
            input: newcomer.input, age: status.age, directory: newcomer.directory, name: newcomer.name)
        let startsAtEnd = isFirstWalk && inputs[file.input].startAt == .end || isTooOld(status, inputs[file.input])
        var label = newcomer.directory.path(of: newcomer.name)
        if let position {
            file.load(position)
            file.check = .content
            label = position.label
        } else if let renamedFrom = newcomer.renamedFrom {
            file.label = renamedFrom
            label = renamedFrom
            file.check = .start(atEnd: false)
        } else if let original = rotationLabel(of: newcomer.name, in: newcomer.directory) {
            if isUnseenGeneration(of: original, status) {
                label = original
                file.label = original
                file.check = .copy(label: original, mustBeCopy: false, atEnd: false)
            } else {
                let matches = input(of: newcomer.name, in: newcomer.directory) != nil
                file.check = .copy(label: original, mustBeCopy: !matches, atEnd: startsAtEnd)
            }
        } else {
            file.check = .start(atEnd: startsAtEnd)
        }
        if position == nil {
            let isKnown = youngest[label] != nil || savedLabels[label] != nil
            file.seen = isKnown ? status.age : wallClockMilliseconds() * 1_000_000
        }
        file.size = status.size
        file.lastChange = Self.monotonic()
        adopted += 1
        files[status.identity] = file
        newcomer.directory.names[newcomer.name] = file
        if let label = file.candidateLabel { candidates[label, default: []].append(file) } else { place(file) }
        enqueue(file)
    }

    /// Gives the file its place among the generations of its log: it is read when those before it have been.
    func place(_ file: TailedFile) {
        let newest = youngest[file.label]
        if let newest, newest.order > file.order {
            newest.insertPredecessor(file)
            return
        }
        if let newest { file.eldestBirth = min(file.eldestBirth, newest.eldestBirth) }
        file.predecessor = newest
        youngest[file.label] = file
    }

    private func takeSaved(_ identity: FileIdentity) -> FilePosition? {
        guard let position = savedPosition(of: identity) else { return nil }
        _ = takeSaved(position)
        return position
    }

    /// False when it is not among them.
    func takeSaved(_ position: FilePosition) -> Bool {
        let key = position.identity.withoutDevice
        guard let index = saved[key]?.firstIndex(of: position) else { return false }
        saved[key]?.remove(at: index)
        if saved[key]?.isEmpty == true {
            saved[key] = nil
            savedInodes.remove(key.inode)
        }
        return true
    }

    private func isTooOld(_ status: FileStatus, _ input: FileTailConfiguration) -> Bool {
        guard let limit = input.ignoreOlder else { return false }
        return wallClockMilliseconds() - status.modified / 1_000_000 > limit.nanoseconds / 1_000_000
    }

    /// The position of a file that we know under another device number and that has lost its name: its file system was
    /// mounted again. Whether it is that file, its content decides.
    private func takeLost(_ identity: FileIdentity) -> FilePosition? {
        guard let file = lost[identity.withoutDevice], file.identity.device != identity.device else { return nil }
        let position = file.position
        clearTrouble(file)
        discard(file)
        return position
    }

    // MARK: - Lost files

    /// Forgets what has been missing for long, the oldest first when there are too many.
    func sweepMissing(_ now: Int64) {
        guard now >= nextMissingSweep else { return }
        nextMissingSweep = now + min(limits.rescanInterval.nanoseconds, max(limits.forgetAfter.nanoseconds, 10_000_000))
        let forgetAfter = limits.forgetAfter.nanoseconds
        var missing = files.values.filter { $0.missingSince != 0 }
        missing.sort { $0.missingSince < $1.missingSince }
        let surplus = missing.count - limits.maximumMissingFiles
        for (index, file) in missing.enumerated() where index < surplus || now - file.missingSince >= forgetAfter {
            if file.size > file.offset { statistics.lostBytes += file.size - file.offset }
            remove(file)
        }
        guard now - startTime >= forgetAfter else { return }
        if now - abandonedSweep >= forgetAfter {
            abandonedSweep = now
            forgetAbandoned()
        }
        guard !saved.isEmpty else { return }
        for position in saved.values.joined() { forget(position) }
        saved = [:]
        savedInodes = []
        savedLabels = [:]
    }

    /// The file does not exist any more: nothing is kept of it.
    func remove(_ file: TailedFile) {
        forget(file.position)
        clearTrouble(file)
        leaveTables(file)
        file.predecessor = nil
        file.missingSince = 0
        file.isUnlinked = true
        file.isRemoved = true
    }

    /// Closes the file and takes it out of every table that names it.
    func leaveTables(_ file: TailedFile) {
        withdraw(file)
        file.closeDescriptor()
        openFiles.removeAll { $0 === file }
        if files[file.identity] === file { files[file.identity] = nil }
        if lost[file.identity.withoutDevice] === file { lost[file.identity.withoutDevice] = nil }
        if let directory = file.directory, directory.names[file.name] === file { directory.names[file.name] = nil }
        if youngest[file.label] === file { youngest[file.label] = nil }
        file.directory = nil
    }
}
