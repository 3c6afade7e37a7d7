import Glibc

/// Why a running agent could not be asked.
package enum ControlError: Error, Equatable, CustomStringConvertible {
    /// No agent listens at this socket.
    case notRunning(path: String, reason: String)
    case failed(path: String, reason: String)
    /// The agent's own words.
    case refused(String)

    package var description: String {
        switch self {
        case .notRunning(let path, let reason):
            "no agent answers at \(path) (\(reason)); start one: tailrace run; or name its --config"
        case .failed(let path, let reason):
            "the agent at \(path) did not answer: \(reason); look at its log"
        case .refused(let reason): reason
        }
    }
}

/// Asks a running agent by its control socket.
package enum ControlClient {
    /// Bytes of a reply.
    package static let maximumReply = 64 << 20
    /// The agent may take so long for each piece of its reply.
    package static let seconds = 20

    /// The answer to a request about a path or a position, without the line that tells whether it could be done.
    package static func answer(to request: ControlRequest, path: String) throws(ControlError) -> [UInt8] {
        let reply = try ask(request.line, path: path)
        let newline = reply.firstIndex(of: UInt8(ascii: "\n")) ?? reply.endIndex
        let text = reply[newline...].dropFirst()
        guard String(decoding: reply[..<newline], as: UTF8.self) == "ok" else {
            throw .refused(String(decoding: text.last == UInt8(ascii: "\n") ? text.dropLast() : text, as: UTF8.self))
        }
        return Array(text)
    }

    package static func ask(_ request: String, path: String) throws(ControlError) -> [UInt8] {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .failed(path: path, reason: SystemError.describe(errno)) }
        defer { close(descriptor) }
        UnixSocket.setTimeouts(descriptor, seconds: seconds)
        switch UnixSocket.withAddress(path, { connect(descriptor, $0, $1) }) {
        case nil: throw .failed(path: path, reason: "the path is too long for a socket")
        case 0?: break
        default:
            let code = errno
            if code == ENOENT || code == ECONNREFUSED {
                throw .notRunning(path: path, reason: SystemError.describe(code))
            }
            throw .failed(path: path, reason: SystemError.describe(code))
        }
        guard UnixSocket.send(descriptor, Array("\(request)\n".utf8)) else {
            throw .failed(path: path, reason: "it closed the connection")
        }
        var reply: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .failed(path: path, reason: SystemError.describe(errno)) }
            if count == 0 { break }
            reply.append(contentsOf: chunk[..<count])
            guard reply.count <= maximumReply else { throw .failed(path: path, reason: "its reply is too long") }
        }
        guard !reply.isEmpty else { throw .failed(path: path, reason: "its reply is empty") }
        return reply
    }
}
