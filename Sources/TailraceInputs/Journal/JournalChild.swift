import CTailrace
import Glibc

/// A journalctl that runs: two pipes and a process, which is killed and reaped at the latest when this goes.
///
/// Another process, because libsystemd maps journal files: when one of them is truncated, or its disk fails, the
/// process that reads it dies.
final class JournalChild {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let process: pid_t
    let output: Int32
    let errors: Int32
    private var status: Int32?

    init(_ program: String, _ arguments: [String]) throws(Failure) {
        let output = try Self.pipe()
        let errors: (read: Int32, write: Int32)
        do throws(Failure) {
            errors = try Self.pipe()
        } catch {
            close(output.read)
            close(output.write)
            throw error
        }
        // Not our environment: it could change what is written, and may hold secrets.
        var environment = Self.strings(["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0"])
        var all = Self.strings([program] + arguments)
        defer { for text in environment + all { free(text) } }
        let process = tailrace_start_child(program, &all, &environment, output.write, errors.write)
        let code = errno
        close(output.write)
        close(errors.write)
        guard process > 0 else {
            close(output.read)
            close(errors.read)
            throw Failure(
                description: "cannot start \(program): \(describeErrno(code))"
                    + (code == ENOENT ? "; it belongs to the package systemd" : ""))
        }
        (self.process, self.output, self.errors) = (process, output.read, errors.read)
    }

    /// A list as C takes it, to be freed.
    private static func strings(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        texts.map { strdup($0) } + [nil]
    }

    private static func pipe() throws(Failure) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else {
            throw Failure(description: "cannot make a pipe: \(describeErrno(errno)); raise LimitNOFILE")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        return (ends[0], ends[1])
    }

    deinit {
        end()
        close(output)
        close(errors)
    }

    /// Kills it if it still runs, and waits for its end.
    @discardableResult
    func end() -> Int32 {
        if let status { return status }
        kill(process, SIGKILL)
        var code: Int32 = 0
        while waitpid(process, &code, 0) < 0, errno == EINTR {}
        status = code
        return code
    }

    /// The end of a process that has closed its output: it gets a moment to end by itself, so that its own reason is seen.
    func ending() -> String {
        var code: Int32 = 0
        for _ in 0..<200 where status == nil {
            let found = waitpid(process, &code, WNOHANG)
            if found == process { status = code }
            if found == 0 { usleep(5000) } else { break }
        }
        guard status != nil else {
            end()
            return "closed its output"
        }
        code = end()
        if code & 0x7F == 0 { return "ended with code \(code >> 8 & 0xFF)" }
        return "was ended by signal \(code & 0x7F) (\(strsignal(code & 0x7F).map { String(cString: $0) } ?? "?"))"
    }
}
