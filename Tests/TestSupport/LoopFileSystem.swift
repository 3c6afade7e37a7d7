import Glibc

/// A small ext4 file system in a file, mounted in a directory of its own.
public final class LoopFileSystem {
    private let image: String
    public let path: String
    private var device: LoopDevice?

    public init(_ directory: TemporaryDirectory, mebibytes: Int = 8) throws {
        image = directory("image")
        path = directory("mount")
        mkdir(path, 0o755)
        LoopDevice.makeImage(image, mebibytes: mebibytes)
        // Inodes of 256 bytes have room for the time of birth, which small file systems otherwise lack. An error that the
        // file system finds in itself takes all writing away, as Debian's installer sets it.
        try SystemCommand.run("/sbin/mkfs.ext4", "-q", "-I", "256", "-e", "remount-ro", image)
        try mount()
    }

    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    private func mount() throws {
        // The former one is let go only now: else it would be the same device again.
        device = try LoopDevice(image)
        try SystemCommand.run("/bin/mount", device!.path, path)
    }

    /// The number of the device that the file system is on.
    public var number: dev_t {
        var status = stat()
        stat(path, &status)
        return status.st_dev
    }

    /// Bytes that are free for everybody.
    public var free: UInt64 {
        var status = statvfs()
        statvfs(path, &status)
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    /// Takes it away even from under open files, and mounts it on another device.
    public func mountElsewhere() throws {
        try SystemCommand.run("/bin/umount", "--lazy", path)
        try mount()
    }

    /// The file system finds an error in itself: nothing can be written any more, not even to open files.
    public func breakDown() throws {
        try SystemCommand.write("1", to: "/sys/fs/ext4/\(device!.name)/trigger_fs_error")
    }

    /// As an administrator does after a breakdown, when nobody has a file open any more.
    public func repair() throws {
        try SystemCommand.run("/bin/umount", path)
        // 1: errors were found, and mended.
        try SystemCommand.run("/sbin/fsck.ext4", "-p", device!.path, allowing: [0, 1])
        try SystemCommand.run("/bin/mount", device!.path, path)
    }

    deinit { try? SystemCommand.run("/bin/umount", "--lazy", path) }
}
