import Glibc

/// A block device whose blocks are a file.
final class LoopDevice {
    /// Such as `/dev/loop3`.
    let path: String

    init(_ image: String) throws {
        let attached = try ChildProcess("/sbin/losetup", ["--find", "--show", image])
        guard attached.wait() == .code(0) else { throw ChildProcess.Failure("losetup: \(attached.errorOutput)") }
        path = String(attached.output.filter { !$0.isWhitespace })
    }

    /// Such as `loop3`.
    var name: Substring { path.dropFirst("/dev/".utf8.count) }

    /// A file of zeros that takes no room.
    static func makeImage(_ path: String, mebibytes: Int) {
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        defer { close(descriptor) }
        guard ftruncate(descriptor, mebibytes << 20) == 0 else { fatalError("ftruncate \(path)") }
    }

    /// What is still mounted keeps it until it is not.
    deinit { try? SystemCommand.run("/sbin/losetup", "--detach", path) }
}
