import Glibc

/// What inotify tells: which names are to be looked at.
extension FileTailEngine {
    /// Takes what inotify has and looks at the names concerned. False when the queue was empty and no name had to be looked at:
    /// nothing was there, or nothing but writes to files that are known.
    func readEvents() -> Bool {
        guard let inotify else { return false }
        // A few reads before names are looked at: what is gone again by then costs nothing.
        var any = false
        for _ in 0..<8 {
            guard inotify.read(take) else { break }
            any = true
            if inotify.wasEmptied { break }
        }
        guard any else { return false }
        let looks = !touched.isEmpty
        settleTouched()
        return looks || !inotify.wasEmptied
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
            $0.status.age != $1.status.age
                ? $0.status.age < $1.status.age
                : RotatedName.isOlder(
                    $0.name, written: $0.status.modified, than: $1.name, written: $1.status.modified)
        }
        newcomers = []
        for newcomer in found { adopt(newcomer) }
        if !archives.isEmpty {
            let found = archives
            archives = []
            adoptArchives(found)
        }
    }
}
