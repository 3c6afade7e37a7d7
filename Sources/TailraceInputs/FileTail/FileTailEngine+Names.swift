import Glibc
internal import Logging
internal import TailraceSpool

/// What names stand for.
extension FileTailEngine {
    /// Compares what the name stands for now with what it stood for.
    func look(_ directory: WatchedDirectory, _ name: String) {
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
        guard let birth = youngest[label]?.eldestBirth ?? savedElders[label] else { return false }
        return status.identity.birth == 0 || status.identity.birth >= birth
    }

    func savedPosition(of identity: FileIdentity) -> FilePosition? {
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
        if file.candidateLabel != nil, file.descriptor < 0 {
            // Nobody can look into it. Under another name it is found again; compressed, its archive is.
            if let directory = file.directory, !vacated.contains(where: { $0 === directory }) {
                vacated.append(directory)
            }
            discard(file)
            return
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
}
