import Glibc

/// A running agent's control socket, asked without a process of its own for each question.
public struct Control {
    public struct Status {
        /// The first id that is not durable.
        public var committed = 0
        /// Records that the output has got acknowledged.
        public var acknowledged = 0
    }

    private let path: String

    /// - Parameter directory: that of `Service.configureAgent`.
    public init(directory: String) { path = "\(directory)/state/control.sock" }

    /// All zeros while nobody answers.
    public func status() -> Status {
        let text = ask("status json\n")
        guard let outputs = text.firstRange(of: "\"outputs\"") else { return Status() }
        return Status(
            committed: number("committed", in: text) ?? 0,
            acknowledged: number("acknowledged", in: String(text[outputs.lowerBound...])) ?? 0)
    }

    /// Asks until the answer is as wanted; when that was.
    ///
    /// - Parameter pause: seconds from an answer to the next question.
    @discardableResult
    public func wait(
        _ agent: Child, pause: (Status) -> Double = { _ in 0.02 }, until isWanted: (Status) -> Bool
    ) -> (time: Double, status: Status) {
        let begin = seconds()
        while true {
            let status = status()
            if isWanted(status) { return (seconds(), status) }
            if agent.hasEnded || seconds() - begin > 600 { fail("wait for the agent: \(status)", 0) }
            usleep(UInt32(pause(status) * 1_000_000))
        }
    }

    /// Waits until the agent's first output has acknowledged `records`. An answer takes a third of a millisecond of a
    /// processor, which counts as the agent's: so the next question comes when a quarter of the time is over that the rest
    /// will take if it goes on like this.
    public func awaitAcknowledgement(of records: Int, _ agent: Child) {
        let begin = seconds()
        wait(agent) { status in
            let rest = Double(records - status.acknowledged) / Double(max(1, status.acknowledged))
            return min(0.25, max(0.005, (seconds() - begin) * rest / 4))
        } until: {
            $0.acknowledged >= records
        }
    }

    private func ask(_ request: String) -> String {
        let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(file) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let bytes = Array(request.utf8)
        guard connected == 0, send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            return ""
        }
        var reply: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(file, &piece, piece.count)
            guard count > 0 else { return String(decoding: reply, as: UTF8.self) }
            reply += piece[..<count]
        }
    }
}
