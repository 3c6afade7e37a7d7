import Glibc

/// Another process of this same program, with its output in files.
final class OwnProcess {
    struct Failure: Error, CustomStringConvertible { var description: String }

    let identifier: pid_t
    let outputPath: String
    let errorPath: String
    private(set) var status: Int32?

    /// - Parameters:
    ///   - log: Standard output and error go to this path with `.out` and `.err`, behind what is there.
    ///   - program: This one, unless a test says otherwise.
    init(_ arguments: [String], log: String, program: String = "/proc/self/exe") throws {
        outputPath = "\(log).out"
        errorPath = "\(log).err"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var pointers = (["tailrace"] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var identifier: pid_t = 0
        let code = posix_spawn(&identifier, program, &actions, nil, &pointers, environ)
        guard code == 0 else {
            throw Failure(
                description: "cannot start tailrace \(arguments.first ?? ""): \(String(cString: strerror(code)))")
        }
        self.identifier = identifier
    }

    deinit {
        guard !hasEnded else { return }
        kill()
    }

    var hasEnded: Bool {
        if status != nil { return true }
        var value: Int32 = 0
        if waitpid(identifier, &value, WNOHANG) == identifier { status = value }
        return status != nil
    }

    /// SIGKILL, and gone.
    func kill() {
        guard status == nil else { return }
        Glibc.kill(identifier, SIGKILL)
        var value: Int32 = 0
        while waitpid(identifier, &value, 0) < 0, errno == EINTR {}
        status = value
    }

    /// SIGTERM, and SIGKILL when it has not ended in time. False when it did not exit with code 0.
    func stop(seconds: Int) -> Bool {
        if !hasEnded { Glibc.kill(identifier, SIGTERM) }
        for _ in 0..<(seconds * 100) where !hasEnded { usleep(10_000) }
        kill()
        return status == 0
    }

    /// The last lines that it wrote to standard error.
    var lastErrors: String {
        Self.text(errorPath).split(separator: "\n").suffix(5).joined(separator: "\n")
    }

    static func text(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < 16 << 20 {
            let count = read(descriptor, &chunk, chunk.count)
            if count <= 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
