import CTailrace
import Glibc
internal import Logging

/// Opening and closing files, and what keeps them from being read.
extension FileTailEngine {
    /// Opens the file at its name and makes sure that it is the one that is meant.
    func open(_ file: TailedFile) -> Bool {
        guard let directory = file.directory else { return false }
        let path = directory.path(of: file.name)
        if openFiles.count >= limits.maximumOpenFiles { closeLongestIdle() }
        let descriptor = path.withSystemPath { Glibc.open($0, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) }
        guard descriptor >= 0 else {
            let code = errno
            if code == ENOENT {
                touch(directory, file.name)
                settleTouched()
            } else {
                setTrouble(file, code)
            }
            return false
        }
        guard let status = FileStatus(descriptor: descriptor), status.isRegular, status.identity == file.identity else {
            Glibc.close(descriptor)
            touch(directory, file.name)
            settleTouched()
            return false
        }
        clearTrouble(file)
        file.descriptor = descriptor
        file.isRemote = tailrace_descriptor_is_remote(descriptor) != 0
        openFiles.append(file)
        return true
    }

    func close(_ file: TailedFile) {
        guard file.descriptor >= 0 else { return }
        file.closeDescriptor()
        openFiles.remove(file)
    }

    /// Makes room for a descriptor: of the files that have a name and nothing unread the one longest idle, else of those
    /// that have a name.
    func closeLongestIdle() {
        let named = openFiles.lazy.filter { $0.directory != nil }
        if let file = named.first(where: { $0.size == $0.offset }) ?? named.first(where: { _ in true }) { close(file) }
    }

    func setTrouble(_ file: TailedFile, _ code: Int32) {
        if file.trouble == 0 { troubledFiles += 1 }
        if file.trouble != code {
            file.trouble = code
            logger.warning(
                "cannot read \(file.path): \(troubleText(code)); tried again", metadata: ["errno": "\(code)"])
        }
    }

    func clearTrouble(_ file: TailedFile) {
        if file.trouble != 0 { troubledFiles -= 1 }
        file.trouble = 0
    }

    func troubleText(_ code: Int32) -> String {
        switch code {
        case EACCES, EPERM: "no right to read it: give the agent's user read permission (or add it to the file's group)"
        case EMFILE, ENFILE: "too many open files: raise LimitNOFILE"
        default: describeErrno(code)
        }
    }

    // MARK: - Directories and names

    /// `path` cannot be listed or looked at, so nobody knows what is there.
    func setPathTrouble(_ path: String, input: Int, _ code: Int32) {
        if troubledPaths[path]?.code != code {
            logger.warning(
                "cannot look into \(path): \(pathTroubleText(code)); tried again", metadata: ["errno": "\(code)"])
        }
        troubledPaths[path] = (input, code)
    }

    private func pathTroubleText(_ code: Int32) -> String {
        guard code == EACCES || code == EPERM else { return troubleText(code) }
        return "no right: give the agent's user read and execute permission on the directories above it"
    }

    /// What can be looked at again is walked; events do not always tell of rights that were given.
    func retryTroubledPaths() {
        for path in troubledPaths.keys {
            if let status = FileStatus(path: path) {
                if status.isDirectory {
                    guard let stream = path.withSystemPath({ opendir($0) }) else { continue }
                    closedir(stream)
                }
            } else if errno == EACCES || errno == EPERM {
                continue
            }
            troubledPaths[path] = nil
            wantsWalk = true
        }
    }

    var troubledPathStates: [TailedFileState] {
        troubledPaths.map { path, trouble in
            TailedFileState(
                path: path, source: path, input: inputs[trouble.input].name,
                condition: .troubled(pathTroubleText(trouble.code)), device: 0, inode: 0, generation: 0, size: 0,
                offset: 0)
        }
    }
}
