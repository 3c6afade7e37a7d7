import Glibc

/// A question to the journal that one entry answers.
enum JournalQuery {
    struct Answer: Equatable {
        var cursor: [UInt8]
        var realtime: UInt64
    }

    enum Failure: Error, CustomStringConvertible {
        case stopped
        case unanswered(String)

        var description: String {
            switch self {
            case .stopped: "stopped"
            case .unanswered(let text): text
            }
        }
    }

    /// The address of the first entry that journalctl prints; nil when it prints none.
    ///
    /// - Parameter stops: asked every 100 ms.
    static func first(
        _ program: String, _ arguments: [String], timeout: Duration, stops: () -> Bool
    ) throws(Failure) -> Answer? {
        let child: JournalChild
        do throws(JournalChild.Failure) {
            child = try JournalChild(program, arguments)
        } catch {
            throw .unanswered(error.description)
        }
        let deadline = ContinuousClock.now.advanced(by: timeout)
        let entry = JournalEntry(maximumMessage: 0)
        var parser = JournalExportParser()
        var chunk = [UInt8](repeating: 0, count: 4096)
        var complaint: [UInt8] = []
        while ContinuousClock.now < deadline {
            if stops() { throw .stopped }
            var polled = [pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)]
            guard poll(&polled, 1, 100) > 0 else { continue }
            let count = read(child.output, &chunk, chunk.count)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else {
                // It has ended: without an entry, or with a reason.
                let size = read(child.errors, &chunk, chunk.count)
                if size > 0 { complaint = Array(chunk[..<size].prefix { $0 != 0x0A }) }
                let ending = child.ending()
                if ending == "ended with code 0" || complaint.isEmpty && ending == "ended with code 1" { return nil }
                throw .unanswered("journalctl \(ending): \(String(decoding: complaint, as: UTF8.self))")
            }
            let progress = chunk[..<count].withUnsafeBytes { parser.parse($0, into: entry) }
            switch progress {
            case .needsMore: continue
            case .broken(let text): throw .unanswered("journalctl wrote \(text)")
            case .complete, .incomplete:
                guard let cursor = entry.value(.cursor) else { throw .unanswered("journalctl wrote no cursor") }
                let realtime = entry.value(.realtime).flatMap { DecimalDigits.number($0) } ?? 0
                return Answer(cursor: Array(cursor), realtime: realtime)
            }
        }
        throw .unanswered("journalctl did not answer within \(timeout)")
    }
}
