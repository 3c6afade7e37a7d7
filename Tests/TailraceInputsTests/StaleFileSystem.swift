import Glibc
import TestSupport

/// A directory seen through a file system that can be told to give old answers, as network file systems do.
final class StaleFileSystem {
    private let server: ChildProcess
    private let origin: String
    private let mount: String

    init(_ directory: TemporaryDirectory, file: String = #filePath) throws {
        origin = directory("origin")
        mount = directory("mount")
        mkdir(origin, 0o755)
        mkdir(mount, 0o755)
        var before = stat()
        stat(mount, &before)
        let script = "/" + file.split(separator: "/").dropLast().joined(separator: "/") + "/Python/stale_file_system.py"
        server = try ChildProcess("/usr/bin/python3", [script, origin, mount])
        var now = before
        while now.st_dev == before.st_dev {
            guard kill(server.identifier, 0) == 0, server.errorOutput.isEmpty else {
                throw ChildProcess.Failure("no FUSE: \(server.errorOutput) (these tests run as root, with /dev/fuse)")
            }
            usleep(10_000)
            stat(mount, &now)
        }
    }

    /// Where the tailer sees the file.
    func callAsFunction(_ name: String) -> String { "\(mount)/\(name)" }
    /// Where it is.
    func origin(_ name: String) -> String { "\(origin)/\(name)" }

    /// See the script; nothing: the truth.
    func answer(_ lines: String...) {
        let path = origin(".answers")
        write(lines.map { $0 + "\n" }.joined(), to: path + ".new")
        rename(path + ".new", path)
    }

    deinit { umount2(mount, Int32(MNT_DETACH)) }
}
