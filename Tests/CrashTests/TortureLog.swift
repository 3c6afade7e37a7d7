import Glibc
import Synchronization
import TailraceAgent
import TestSupport

@testable import tailrace

/// One log that is written by a thread and rotated by another: each line has the log's name and a number, and is written
/// whole, in one write or in two, while the log's lock is held; so a rotation knows exactly which lines stand where.
final class TortureLog: Sendable {
    /// What the writer had before a rotation, for telling where a line was lost.
    struct Generation: CustomStringConvertible {
        /// Number of its first line.
        var first: Int
        var inode: UInt64 = 0
        /// How it ended; empty while it is written.
        var end = ""
        /// When the next one began: milliseconds since 1970.
        var ended: Int64 = 0

        var description: String { "inode \(inode), ended by \(end) at \(Timestamp.text(milliseconds: ended))" }
    }
    struct State {
        var descriptor: Int32 = -1
        /// Lines written.
        var lines = 0
        var generations = [Generation(first: 0)]
        /// Numbers of lines written between the copy and the truncation of a copying rotation: nobody can promise those.
        var window: Set<Int> = []
        var buffer: [UInt8] = []
        var failure: String?

        /// Writes `count` lines to where the log is open.
        mutating func write(_ count: Int, name: String, splitting: Bool = false) {
            for _ in 0..<count {
                buffer.removeAll(keepingCapacity: true)
                NumberedLine.append(
                    source: name, number: lines, time: "generation=\(generations.count - 1)", to: &buffer)
                let middle = splitting && lines % 17 == 0 ? buffer.count / 2 : buffer.count
                for part in [buffer[..<middle], buffer[middle...]] where !part.isEmpty {
                    let written = part.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                    if written != part.count { failure = "cannot write \(name): \(String(cString: strerror(errno)))" }
                    if part.count < buffer.count { usleep(500) }
                }
                lines += 1
            }
        }

        fileprivate var inode: UInt64 {
            var status = stat()
            return fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : 0
        }

        /// A new file, or a beginning anew of the old one.
        mutating func beginGeneration(_ end: String) {
            generations[generations.count - 1].end = end
            generations[generations.count - 1].ended = Timestamp.now()
            generations.append(Generation(first: lines, inode: inode))
        }
    }

    let name: String
    let path: String
    private let state: Mutex<State>

    /// - Parameter isLink: the log's name is a link to a file elsewhere.
    init(_ name: String, directory: String, isLink: Bool = false) throws {
        self.name = name
        path = "\(directory)/\(name).log"
        if isLink { try Self.link(path, to: 0) }
        var state = State()
        state.descriptor = Self.open(path)
        guard state.descriptor >= 0 else { throw ChildProcess.Failure("cannot make \(path)") }
        state.generations[0].inode = state.inode
        self.state = Mutex(state)
    }

    deinit { close(state.withLock { $0.descriptor }) }

    /// While nothing is written.
    func exclusively<R>(_ body: (inout State) throws -> sending R) rethrows -> sending R {
        try state.withLock { state in try body(&state) }
    }

    func write(_ count: Int) { state.withLock { $0.write(count, name: name, splitting: true) } }

    /// Opens the file that has the log's name now, making it when there is none.
    func reopen(_ state: inout State, because end: String) {
        close(state.descriptor)
        state.descriptor = Self.open(path)
        if state.descriptor < 0 { state.failure = "cannot open \(path)" }
        state.beginGeneration(end)
    }

    /// Has the log's name lead to another, new file.
    func switchLink(_ number: Int) throws { try Self.link(path, to: number) }

    private static func link(_ path: String, to number: Int) throws {
        let directory = path + ".d", new = "\(directory)/new"
        mkdir(directory, 0o755)
        let target = open("\(directory)/\(number)")
        guard target >= 0 else { throw ChildProcess.Failure("cannot make a file for \(path)") }
        close(target)
        guard symlink("\(directory)/\(number)", new) == 0, rename(new, path) == 0 else {
            throw ChildProcess.Failure("cannot make the link \(path)")
        }
    }

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    }
}
