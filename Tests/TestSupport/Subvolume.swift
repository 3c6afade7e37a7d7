import Glibc

/// A subvolume of a btrfs in a file: its quota, and whether it can be written, change while its files are open.
public final class Subvolume {
    private let mount: String
    private let device: LoopDevice
    public let path: String

    public init(_ directory: TemporaryDirectory, mebibytes: Int = 256) throws {
        let image = directory("btrfs")
        mount = directory("btrfs-mount")
        path = "\(mount)/subvolume"
        mkdir(mount, 0o755)
        LoopDevice.makeImage(image, mebibytes: mebibytes)
        try SystemCommand.run("/sbin/mkfs.btrfs", "-q", image)
        device = try LoopDevice(image)
        try SystemCommand.run("/bin/mount", device.path, mount)
        try SystemCommand.run("/bin/btrfs", "subvolume", "create", path)
        try SystemCommand.run("/bin/btrfs", "quota", "enable", mount)
    }

    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    /// Its files may take so many MiB; what is beyond is refused with EDQUOT.
    public func limit(mebibytes: Int) throws {
        try SystemCommand.run("/bin/btrfs", "qgroup", "limit", "\(mebibytes)M", path)
    }

    /// No name in it can be changed any more, or again.
    public func setReadOnly(_ isReadOnly: Bool) throws {
        try SystemCommand.run("/bin/btrfs", "property", "set", path, "ro", "\(isReadOnly)")
    }

    deinit { try? SystemCommand.run("/bin/umount", "--lazy", mount) }
}
