import Glibc
import TestSupport

/// One way of rotating a log.
enum Rotation: String, CaseIterable {
    /// Renamed, and a new file made at once.
    case create
    /// Several times, with a few lines in each generation, between two looks of the agent.
    case several
    /// Renamed; the writer goes on in the renamed file for a while.
    case late
    /// Renamed with a date, not a number.
    case dated
    /// Copied, then truncated; lines are written in between.
    case copytruncate
    /// The same twice at once: nobody has seen what the second copy has.
    case copytruncateTwice
    /// Copied, truncated, and the copy compressed before anybody has read it to its end.
    case copytruncateCompress
    /// Renamed, and compressed once it has been read.
    case compress
    /// Renamed, and compressed before it has been read to its end.
    case compressUnread
    /// Truncated, once it has been read.
    case truncate
    /// Removed while the writer has it open.
    case unlink
    /// Another file takes its name in one step.
    case replace
    /// The oldest generations removed, once they have been read.
    case delete
    /// The log's name is a link: it leads to another file.
    case switchLink
    /// By the real logrotate.
    case logrotateCreate, logrotateCopytruncate, logrotateCompress, logrotateCopytruncateCompress, logrotateMaxsize

    /// The logs that are rotated so: the names that logrotate gives would collide with ours, and a link is none of them.
    var logs: ClosedRange<Int> { rawValue.hasPrefix("logrotate") ? 2...2 : self == .switchLink ? 3...3 : 0...1 }
    static let linked = 3
    /// What it removes nobody can read later, or not without having begun: the agent must live, and have come to it.
    var needsReader: Bool {
        switch self {
        case .truncate, .unlink, .replace, .compress, .compressUnread, .copytruncateCompress, .switchLink,
            .logrotateCompress, .logrotateCopytruncateCompress:
            true
        default: false
        }
    }
}

/// Rotates logs.
final class Rotator {
    /// Whether everything in the open file was read, and is durable.
    private let isRead: (_ descriptor: Int32) -> Bool
    private let directory: String
    private var serial = 0

    /// - Parameter directory: for logrotate's configuration and state.
    init(directory: String, isRead: @escaping (Int32) -> Bool) {
        self.directory = directory
        self.isRead = isRead
    }

    func rotate(_ log: TortureLog, _ rotation: Rotation) throws {
        serial += 1
        switch rotation {
        case .create:
            log.exclusively { state in
                shift(log)
                rename(log.path, "\(log.path).1")
                log.reopen(&state, because: rotation.rawValue)
            }
        case .several:
            log.exclusively { state in
                for _ in 0..<(2 + serial % 3) {
                    shift(log)
                    rename(log.path, "\(log.path).1")
                    log.reopen(&state, because: rotation.rawValue)
                    state.write(serial % 4, name: log.name)
                }
            }
        case .late:
            shift(log)
            rename(log.path, "\(log.path).1")
            usleep(30_000)
            log.exclusively { log.reopen(&$0, because: rotation.rawValue) }
        case .dated:
            log.exclusively { state in
                rename(log.path, "\(log.path)-20261121-\(100_000 + serial)")
                log.reopen(&state, because: rotation.rawValue)
            }
        case .copytruncate:
            try log.exclusively { try copyAndTruncate(log, &$0, rotation) }
        case .copytruncateTwice:
            try log.exclusively { state in
                try copyAndTruncate(log, &state, rotation)
                state.write(1 + serial % 5, name: log.name)
                // By the file system's clock, which ticks every few milliseconds, one is the older.
                usleep(12_000)
                try copyAndTruncate(log, &state, rotation)
            }
        case .copytruncateCompress:
            try log.exclusively { state in
                try writeBeyondReader(log, &state)
                try copyAndTruncate(log, &state, rotation)
                try Self.run("/usr/bin/gzip", ["\(log.path).1"])
            }
        case .compressUnread:
            try log.exclusively { state in
                try writeBeyondReader(log, &state)
                shift(log)
                rename(log.path, "\(log.path).1")
                log.reopen(&state, because: rotation.rawValue)
                try Self.run("/usr/bin/gzip", ["\(log.path).1"])
            }
        case .compress:
            log.exclusively { state in
                shift(log)
                rename(log.path, "\(log.path).1")
                log.reopen(&state, because: rotation.rawValue)
            }
            try waitUntilRead("\(log.path).1")
            try Self.run("/usr/bin/gzip", ["\(log.path).1"])
        case .truncate:
            try log.exclusively { state in
                try waitUntilRead(log.path)
                guard ftruncate(state.descriptor, 0) == 0 else { throw ChildProcess.Failure("cannot truncate") }
                state.beginGeneration(rotation.rawValue)
            }
        case .unlink:
            try log.exclusively { state in
                try writeBeyondReader(log, &state)
                Glibc.unlink(log.path)
                state.write(3, name: log.name)
                // Nobody could read it after a kill.
                try waitUntilRead(state.descriptor)
                log.reopen(&state, because: rotation.rawValue)
            }
        case .replace:
            try log.exclusively { state in
                try writeBeyondReader(log, &state)
                let new = "\(directory)/new"
                close(open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644))
                rename(new, log.path)
                try waitUntilRead(state.descriptor)
                log.reopen(&state, because: rotation.rawValue)
            }
        case .delete:
            for path in rotated(log).dropFirst(3) where isRead(path) { Glibc.unlink(path) }
        case .switchLink:
            try log.exclusively { state in
                try writeBeyondReader(log, &state)
                try log.switchLink(serial)
                state.write(3, name: log.name)
                // Nobody would find it after a kill.
                try waitUntilRead(state.descriptor)
                log.reopen(&state, because: rotation.rawValue)
            }
        case .logrotateCreate:
            // Under load: the writer goes on in the renamed file until it is told.
            try logrotate(log, "create")
            log.exclusively { log.reopen(&$0, because: rotation.rawValue) }
        case .logrotateMaxsize:
            try logrotate(log, "create\n    daily\n    maxsize 1", isForced: false)
            log.exclusively { log.reopen(&$0, because: rotation.rawValue) }
        case .logrotateCopytruncate:
            // What is written meanwhile nobody could promise.
            try log.exclusively { state in
                try logrotate(log, "copytruncate")
                state.beginGeneration(rotation.rawValue)
            }
        case .logrotateCopytruncateCompress:
            try log.exclusively { state in
                try writeBeyondReader(log, &state)
                try logrotate(log, "copytruncate\n    compress")
                state.beginGeneration(rotation.rawValue)
            }
        case .logrotateCompress:
            // What `delaycompress` compresses is the rotation before this one.
            if access("\(log.path).1", F_OK) == 0 { try waitUntilRead("\(log.path).1") }
            try logrotate(log, "create\n    compress\n    delaycompress")
            log.exclusively { log.reopen(&$0, because: rotation.rawValue) }
        }
    }

    private func copyAndTruncate(_ log: TortureLog, _ state: inout TortureLog.State, _ rotation: Rotation) throws {
        shift(log)
        try Self.copy(log.path, to: "\(log.path).1")
        let first = state.lines
        state.write(serial % 4, name: log.name)
        state.window.formUnion(first..<state.lines)
        guard ftruncate(state.descriptor, 0) == 0 else { throw ChildProcess.Failure("cannot truncate") }
        state.beginGeneration(rotation.rawValue)
    }

    /// The agent that runs now has begun the log, and has something more of it to read.
    private func writeBeyondReader(_ log: TortureLog, _ state: inout TortureLog.State) throws {
        state.write(1, name: log.name)
        try waitUntilRead(log.path)
        state.write(3, name: log.name)
    }

    /// `log.N` becomes `log.N+1`, from the oldest; compressed ones too.
    private func shift(_ log: TortureLog) {
        for number in (1..<200).reversed() {
            for suffix in ["", ".gz"] where access("\(log.path).\(number)\(suffix)", F_OK) == 0 {
                rename("\(log.path).\(number)\(suffix)", "\(log.path).\(number + 1)\(suffix)")
            }
        }
    }

    /// Rotated generations by number, the youngest first.
    private func rotated(_ log: TortureLog) -> [String] {
        (1..<200).map { "\(log.path).\($0)" }.filter { access($0, F_OK) == 0 }
    }

    private func isRead(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return isRead(descriptor)
    }

    private func waitUntilRead(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ChildProcess.Failure("cannot open \(path)") }
        defer { close(descriptor) }
        try waitUntilRead(descriptor)
    }

    func waitUntilRead(_ descriptor: Int32) throws {
        for _ in 0..<3000 {
            if isRead(descriptor) { return }
            usleep(10_000)
        }
        throw ChildProcess.Failure("the agent does not come to the end of a log")
    }

    private func logrotate(_ log: TortureLog, _ how: String, isForced: Bool = true) throws {
        let configuration = "\(directory)/logrotate.conf"
        try Self.write(
            Array("\"\(log.path)\" {\n    rotate 500\n    nomissingok\n    \(how)\n}\n".utf8), to: configuration)
        try Self.run(
            "/usr/sbin/logrotate",
            (isForced ? ["-f"] : []) + ["-s", "\(directory)/logrotate.state", configuration])
    }

    private static func run(_ program: String, _ arguments: [String]) throws {
        let process = try ChildProcess(program, arguments)
        guard process.wait() == .code(0) else {
            throw ChildProcess.Failure("\(program) \(arguments): \(process.errorOutput)")
        }
    }

    private static func copy(_ from: String, to: String) throws {
        let source = open(from, O_RDONLY | O_CLOEXEC)
        defer { close(source) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(source, &chunk, chunk.count)
            guard count >= 0 else { throw ChildProcess.Failure("cannot read \(from)") }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        try write(bytes, to: to)
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        defer { close(descriptor) }
        var done = 0
        while done < bytes.count {
            // In pieces, as cp does: somebody may look at it half made.
            let piece = bytes[done...].prefix(1 << 16)
            let count = piece.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw ChildProcess.Failure("cannot write \(path)") }
            done += count
        }
    }
}
