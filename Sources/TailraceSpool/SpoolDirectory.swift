import Glibc

/// The directory's own calls.
package struct SpoolDirectory: Sendable {
    package let path: String
    let disk: any Disk

    package init(path: String, disk: any Disk = SystemDisk()) {
        self.path = path
        self.disk = disk
    }

    package func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes the directory if it is missing; its parent must exist. Its name is durable then, also when who made it ended
    /// before that.
    package func create() throws(SpoolFileError) {
        do throws(SpoolFileError) {
            _ = try SpoolFile.call(.makeDirectory, path) { disk.makeDirectory(path) }
        } catch {
            guard error.code == EEXIST else { throw error }
        }
        do throws(SpoolFileError) {
            try Self(path: "\(path)/..", disk: disk).sync()
        } catch {
            // A parent that is not ours to read was not changed by us either.
            guard error.code == EACCES else { throw error }
        }
    }

    package func open(_ name: String, _ mode: SpoolFile.Mode) throws(SpoolFileError) -> SpoolFile {
        try SpoolFile(self(name), mode, on: disk)
    }

    /// Gives the file a second name; fails if that name exists, so nothing is ever overwritten.
    package func link(_ name: String, as other: String) throws(SpoolFileError) {
        _ = try SpoolFile.call(.link, self(other)) { disk.link(self(name), as: self(other)) }
    }

    package func unlink(_ name: String) throws(SpoolFileError) {
        _ = try SpoolFile.call(.unlink, self(name)) { disk.unlink(self(name)) }
    }

    /// Puts the file in the place of `other`, in one step.
    package func rename(_ name: String, to other: String) throws(SpoolFileError) {
        _ = try SpoolFile.call(.rename, self(other)) { disk.rename(self(name), to: self(other)) }
    }

    /// Makes creations, links, unlinks and renames durable.
    package func sync() throws(SpoolFileError) {
        let descriptor = CInt(try SpoolFile.call(.open, path) { disk.open(path, O_RDONLY | O_DIRECTORY) })
        defer { disk.close(descriptor) }
        _ = try SpoolFile.call(.syncDirectory, path) { disk.sync(descriptor) }
    }

    /// Of the file system that it is on; nil when that cannot be told.
    func space() -> DiskSpace? {
        var space = DiskSpace(total: 0, free: 0)
        // A file system that knows no limits says that it has no blocks at all.
        return disk.space(path, into: &space) >= 0 && space.total > 0 ? space : nil
    }

    /// The names in the directory, in no order, without "." and "..".
    package func names() throws(SpoolFileError) -> [String] {
        var names: [String] = []
        _ = try SpoolFile.call(.list, path) {
            names.removeAll()
            return disk.list(path, into: &names)
        }
        return names
    }
}
