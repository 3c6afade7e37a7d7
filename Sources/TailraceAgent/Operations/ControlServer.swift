import Glibc
package import Logging
import Synchronization

/// Answers requests on a unix stream socket: one line in, one text out, then the connection is closed.
///
/// A thread of its own serves one client at a time, each within `clientSeconds`, so a client that stalls delays the
/// next one and nothing else. Whoever may open the socket (owner and group, mode 0660) may ask.
package final class ControlServer: Sendable {
    /// Bytes of a request line: room for the longest path.
    package static let maximumRequest = 16 << 10
    /// A client has this long to send its request, and for each piece of the reply.
    package static let clientSeconds = 2

    package struct Request: Sendable, CustomStringConvertible {
        package var line: String
        /// The user who asks; nil where the kernel does not tell.
        package var user: UInt32?
        package var description: String { line }
    }
    package typealias Handler = @Sendable (Request) -> [UInt8]

    package let path: String
    private let listener: Int32
    /// A pipe; what is written to it ends the thread.
    private let wake: (read: Int32, write: Int32)
    private let handler: Handler
    private let logger: Logger
    private let thread: Mutex<pthread_t?>

    /// Takes the place of a socket that an earlier agent left behind: the caller holds the state directory's lock.
    package static func start(path: String, logger: Logger, handler: @escaping Handler) throws -> ControlServer {
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw UnixSocket.Failure(action: "make a socket for", path: path, code: errno) }
        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK else {
                close(listener)
                throw AgentError("\(path) is no socket: move it away, the agent makes its own there")
            }
            unlink(path)
        }
        guard UnixSocket.withAddress(path, { bind(listener, $0, $1) }) == 0 else {
            let code = path.utf8.count > UnixSocket.maximumPath ? ENAMETOOLONG : errno
            close(listener)
            throw UnixSocket.Failure(action: "bind", path: path, code: code)
        }
        chmod(path, 0o660)
        guard listen(listener, 16) == 0 else {
            let code = errno
            close(listener)
            throw UnixSocket.Failure(action: "listen on", path: path, code: code)
        }
        var pipeEnds: [Int32] = [-1, -1]
        guard pipe(&pipeEnds) == 0 else {
            let code = errno
            close(listener)
            throw UnixSocket.Failure(action: "make a pipe for", path: path, code: code)
        }
        for end in pipeEnds { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let server = ControlServer(
            path: path, listener: listener, wake: (pipeEnds[0], pipeEnds[1]), logger: logger, handler: handler)
        server.thread.withLock { $0 = DedicatedThread.start("control") { server.serve() } }
        return server
    }

    private init(
        path: String, listener: Int32, wake: (Int32, Int32), logger: Logger, handler: @escaping Handler
    ) {
        self.path = path
        self.listener = listener
        self.wake = wake
        self.handler = handler
        self.logger = logger
        thread = Mutex(nil)
    }

    /// Ends the thread and removes the socket; idempotent.
    package func stop() {
        guard let thread = thread.withLock({ $0.take() }) else { return }
        var one: UInt8 = 1
        _ = write(wake.write, &one, 1)
        pthread_join(thread, nil)
        close(listener)
        close(wake.read)
        close(wake.write)
        unlink(path)
    }

    private func serve() {
        while true {
            var descriptors = [
                pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&descriptors, 2, -1) >= 0 || errno == EINTR else {
                logger.error("the control socket stopped", metadata: ["reason": "\(SystemError.describe(errno))"])
                return
            }
            if descriptors[1].revents != 0 { return }
            guard descriptors[0].revents != 0 else { continue }
            let client = accept(listener, nil, nil)
            guard client >= 0 else {
                // Out of descriptors, most likely: the client waits in the backlog meanwhile.
                if errno != EINTR, errno != ECONNABORTED { usleep(100_000) }
                continue
            }
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            UnixSocket.setTimeouts(client, seconds: Self.clientSeconds)
            if let line = readRequest(client) {
                _ = UnixSocket.send(client, handler(Request(line: line, user: UnixSocket.user(of: client))))
            }
            close(client)
        }
    }

    private func readRequest(_ client: Int32) -> String? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256)
        while bytes.count <= Self.maximumRequest {
            let count = read(client, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            bytes.append(contentsOf: chunk[..<count])
            if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
                return String(decoding: bytes[..<end], as: UTF8.self)
            }
        }
        return nil
    }
}
