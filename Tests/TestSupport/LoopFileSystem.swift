import Glibc

/// A small ext4 file system in a file, mounted in a directory of its own.
public final class LoopFileSystem {
    private let image: String
    public let path: String
    private var device = ""

    public init(_ directory: TemporaryDirectory, mebibytes: Int = 8) throws {
        image = directory("image")
        path = directory("mount")
        mkdir(path, 0o755)
        let descriptor = open(image, O_WRONLY | O_CREAT, 0o600)
        ftruncate(descriptor, mebibytes << 20)
        close(descriptor)
        // Inodes of 256 bytes have room for the time of birth, which small file systems otherwise lack.
        try Self.run("/sbin/mkfs.ext4", "-q", "-I", "256", image)
        try mount()
    }

    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    private static func run(_ program: String, _ arguments: String...) throws {
        let child = try ChildProcess(program, arguments)
        guard child.wait() == .code(0) else {
            throw ChildProcess.Failure("\(program) \(arguments): \(child.errorOutput) (these tests run as root)")
        }
    }

    private func mount() throws {
        let attached = try ChildProcess("/sbin/losetup", ["--find", "--show", image])
        guard attached.wait() == .code(0) else { throw ChildProcess.Failure("losetup: \(attached.errorOutput)") }
        let former = device
        device = String(attached.output.filter { !$0.isWhitespace })
        // Only now: else it would be the same device again.
        if !former.isEmpty { try Self.run("/sbin/losetup", "--detach", former) }
        try Self.run("/bin/mount", device, path)
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
        try Self.run("/bin/umount", "--lazy", path)
        try mount()
    }

    deinit {
        try? Self.run("/bin/umount", "--lazy", path)
        try? Self.run("/sbin/losetup", "--detach", device)
    }
}
