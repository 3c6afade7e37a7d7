import Glibc

/// A program that a test runs beside itself; killed and reaped when the last reference goes.
public final class ChildProcess: @unchecked Sendable {
    public enum Exit: Equatable, Sendable {
        case code(Int32)
        case signal(Int32)
    }

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    public let identifier: pid_t
    /// Where its standard output and standard error go, in a directory that lives as long as this object.
    public let outputPath: String
    public let errorPath: String
    private let directory = TemporaryDirectory("child")
    private var exit: Exit?

    /// - Parameters:
    ///   - environment: added to this process's own.
    ///   - input: the path of what it reads as standard input.
    public init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], input: String = "/dev/null"
    ) throws {
        outputPath = directory("stdout")
        errorPath = directory("stderr")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // The listening sockets of this process stay here, or their ports would stay taken.
        for descriptor in 3..<1024 as Range<Int32> { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var variables: [String] = environment.map { "\($0.key)=\($0.value)" }
        var next = environ
        while let variable = next.pointee {
            let text = String(cString: variable)
            if environment[String(text.prefix { $0 != "=" })] == nil { variables.append(text) }
            next += 1
        }
        var argumentPointers = ([program] + arguments).map { strdup($0) } + [nil]
        var variablePointers = variables.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + variablePointers { free(pointer) } }
        // A thread of Swift's pool blocks most signals, and a child would inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var identifier: pid_t = 0
        let code = posix_spawn(&identifier, program, &actions, &attributes, &argumentPointers, &variablePointers)
        guard code == 0 else { throw Failure("cannot start \(program): \(String(cString: strerror(code)))") }
        self.identifier = identifier
    }

    deinit {
        guard exit == nil else { return }
        Glibc.kill(identifier, SIGKILL)
        _ = wait()
    }

    public func signal(_ number: Int32) {
        if exit == nil { Glibc.kill(identifier, number) }
    }

    /// Stops it (SIGSTOP), and returns when it stands still: only one of its threads takes the signal, and the others go on until
    /// that one gets its turn.
    public func hold() {
        guard exit == nil, Glibc.kill(identifier, SIGSTOP) == 0 else { return }
        var information = siginfo_t()
        // Stopped or ended; what has ended is left for `wait`.
        while waitid(P_PID, id_t(identifier), &information, WSTOPPED | WEXITED | WNOWAIT) < 0, errno == EINTR {}
    }

    /// Blocks until it has ended.
    @discardableResult
    public func wait() -> Exit {
        if let exit { return exit }
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        let result: Exit = status & 0x7F == 0 ? .code(status >> 8 & 0xFF) : .signal(status & 0x7F)
        exit = result
        return result
    }

    /// False once it has ended; does not wait.
    public var isRunning: Bool {
        guard exit == nil else { return false }
        var information = siginfo_t()
        // Left for `wait` to take.
        guard waitid(P_PID, id_t(identifier), &information, WEXITED | WNOHANG | WNOWAIT) == 0 else { return false }
        return information._sifields._kill.si_pid == 0
    }

    public var output: String { Self.text(outputPath) }
    public var errorOutput: String { Self.text(errorPath) }

    public static func text(_ path: String) -> String { String(decoding: bytes(path), as: UTF8.self) }

    public static func bytes(_ path: String) -> [UInt8] {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count <= 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    /// A program that was built with the tests: it lies beside the test bundle.
    public static func built(_ name: String) throws -> String {
        for line in text("/proc/self/maps").split(separator: "\n") {
            guard let slash = line.firstIndex(of: "/"), line.hasSuffix(".xctest") else { continue }
            let path = line[slash...]
            let directory = path[..<(path.lastIndex(of: "/") ?? path.endIndex)]
            let program = "\(directory)/\(name)"
            if access(program, X_OK) == 0 { return program }
        }
        throw Failure("\(name) is not built: run swift build first")
    }
}
