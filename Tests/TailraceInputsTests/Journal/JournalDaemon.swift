import Glibc
import TestSupport

@testable import TailraceInputs

/// A real systemd-journald in a mount namespace of its own: its files and sockets lie in a directory of the test.
///
/// Needs the right to make namespaces, as root has; journald itself needs no systemd.
final class JournalDaemon {
    let directory = TemporaryDirectory("journald")
    private var process: ChildProcess?
    private let socket: Int32

    /// Where its files are, as everybody can see them.
    var path: String { directory("log") }

    /// - Parameter settings: lines for `[Journal]` of its configuration.
    init(_ settings: String = "") throws {
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        for name in ["log", "socket"] { mkdir(directory(name), 0o755) }
        try directory.write(
            "[Journal]\nStorage=persistent\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n\(settings)\n",
            to: "journald.conf")
        try start()
    }

    deinit {
        close(socket)
        stop()
    }

    func start() throws {
        let script = """
            set -e
            mount --make-rprivate /
            mount -t tmpfs tmpfs /run
            mkdir -p /run/systemd/journal /run/log /run/lock
            mount --bind "$0/socket" /run/systemd/journal
            mount -t tmpfs tmpfs /var/log
            mkdir -p /var/log/journal
            mount --bind "$0/log" /var/log/journal
            mount --bind "$0/journald.conf" /etc/systemd/journald.conf
            exec /lib/systemd/systemd-journald
            """
        let process = try ChildProcess("/usr/bin/unshare", ["-m", "bash", "-c", script, directory.path])
        self.process = process
        for _ in 0..<6000 {
            if access(directory("socket/socket"), F_OK) == 0, access(directory("socket/io.systemd.journal"), F_OK) == 0,
                (try? control("--flush")) != nil
            {
                return
            }
            guard process.isRunning else { break }
            usleep(5000)
        }
        throw ChildProcess.Failure("journald did not start: \(process.errorOutput)")
    }

    func stop() {
        process?.signal(SIGTERM)
        process?.wait()
        process = nil
        for name in ["socket", "io.systemd.journal", "stdout", "dev-log"] { unlink(directory("socket/\(name)")) }
    }

    /// journalctl with these arguments, where journald is.
    @discardableResult
    func control(_ arguments: String...) throws -> String {
        guard let process else { throw ChildProcess.Failure("journald does not run") }
        let child = try ChildProcess(
            "/usr/bin/nsenter", ["-t", "\(process.identifier)", "-m", "/usr/bin/journalctl"] + arguments)
        guard child.wait() == .code(0) else { throw ChildProcess.Failure(child.errorOutput) }
        return child.output
    }

    /// Writes an entry by journald's own protocol. Waits while journald is behind.
    func log(_ fields: [(String, String)]) throws {
        var export = JournalExport()
        for (name, value) in fields { export.add(name, value) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(directory("socket/socket").utf8)) }
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(socket, export.bytes, export.bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard sent == export.bytes.count else {
            throw ChildProcess.Failure("cannot log: \(String(cString: strerror(errno)))")
        }
    }

    func log(_ text: String) throws { try log([("MESSAGE", text), ("PRIORITY", "6")]) }

    /// Reads this journald's journal from its beginning.
    var configuration: JournalConfiguration {
        var configuration = JournalConfiguration(name: "j")
        configuration.directory = path
        configuration.start = .all
        return configuration
    }
}
