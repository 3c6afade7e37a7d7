import Glibc
package import Logging
import Synchronization

/// Writes each log message as one line to standard error: time, level, label, message, `key=value` pairs. Of each message
/// site, a line of the source, there are as many as `RepetitionLimiter` admits, but for the levels debug and trace.
///
/// Under systemd (see `leadsToJournal`) the line begins with the priority that journald understands, `<6>`, and has no
/// time, which journald adds itself. Line breaks and control characters in a message are escaped, and a line has at
/// most `maximumLine` bytes, so what a peer sends cannot forge lines.
package struct StandardErrorLog: LogHandler {
    /// Bytes. Less than what a pipe that is ready takes without waiting (PIPE_BUF).
    package static let maximumLine = 4000

    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level
    private let label: String
    private let shared: Shared

    /// What the handlers of all loggers have in common.
    package final class Shared: Sendable {
        fileprivate let journal: Bool
        fileprivate let limiter = Mutex(RepetitionLimiter())
        fileprivate let write: @Sendable ([UInt8]) -> Void

        package init(
            journal: Bool = StandardErrorLog.leadsToJournal(getenv("JOURNAL_STREAM").map { String(cString: $0) }),
            write: @escaping @Sendable ([UInt8]) -> Void = StandardErrorLog.writeToStandardError
        ) {
            self.journal = journal
            self.write = write
        }

        /// Whether `line` may be written; what was left out before it is told first.
        fileprivate func admit(_ event: LogEvent, line: String) -> Bool {
            let now = StandardErrorLog.monotonicMilliseconds()
            let (isAdmitted, summaries) = limiter.withLock { limiter in
                let summaries = limiter.summaries(now: now)
                let site = RepetitionLimiter.Site(file: event.file, line: event.line)
                return (limiter.admit(site, message: line, now: now), summaries)
            }
            tell(summaries)
            return isAdmitted
        }

        /// Tells what was left out in periods that are over; of a message that came no more nobody else does.
        ///
        /// - Parameter isEnd: nothing more is logged: of all periods.
        package func tellRepetitions(isEnd: Bool = false) {
            tell(limiter.withLock { $0.summaries(now: StandardErrorLog.monotonicMilliseconds(), endsAll: isEnd) })
        }

        private func tell(_ summaries: [RepetitionLimiter.Summary]) {
            for summary in summaries { emit(.notice, "repeated \(summary.repetitions) times: \(summary.message)") }
        }

        fileprivate func emit(_ level: Logger.Level, _ text: String) {
            var line: [UInt8] = []
            if journal {
                line.append(contentsOf: "<\(level.priority)>".utf8)
            } else {
                line.append(contentsOf: "\(Timestamp.text(milliseconds: Timestamp.now())) \(level) ".utf8)
            }
            StandardErrorLog.appendEscaped(text, to: &line)
            line.append(UInt8(ascii: "\n"))
            write(line)
        }
    }

    package init(label: String, level: Logger.Level = .info, shared: Shared) {
        self.label = label
        logLevel = level
        self.shared = shared
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var text = "\(label): \(event.message)"
        let metadata = event.metadata.map { self.metadata.merging($0) { _, new in new } } ?? self.metadata
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(Self.quoted("\(value)"))" }
        if let error = event.error { text += " error=\(Self.quoted("\(error)"))" }
        // Somebody asked for those to see what happens, and wants to see all of it.
        if event.level < .info || shared.admit(event, line: text) { shared.emit(event.level, text) }
    }

    private static func quoted(_ text: String) -> String {
        text.utf8.contains { $0 <= 0x20 || $0 == UInt8(ascii: "\"") } || text.isEmpty
            ? "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"") + "\""
            : text
    }

    fileprivate static func appendEscaped(_ text: String, to line: inout [UInt8]) {
        for byte in text.utf8 {
            if line.count >= maximumLine {
                line.append(contentsOf: "…".utf8)
                return
            }
            switch byte {
            case UInt8(ascii: "\n"): line.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\r"): line.append(contentsOf: "\\r".utf8)
            case UInt8(ascii: "\t"): line.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7F: line.append(UInt8(ascii: "?"))
            default: line.append(byte)
            }
        }
    }

    fileprivate static func monotonicMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Whether standard error is the very stream that JOURNAL_STREAM names (`device:inode`): a shell in a service may
    /// have sent it elsewhere.
    package static func leadsToJournal(_ stream: String?, descriptor: Int32 = STDERR_FILENO) -> Bool {
        var status = stat()
        guard let stream, fstat(descriptor, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }

    package static func writeToStandardError(_ line: [UInt8]) { write(line, to: STDERR_FILENO) }

    /// Lines that nobody was ready to take.
    private static let lost = Atomic<Int>(0)

    /// One write per line, so that lines of several threads do not mix. Where nobody reads (a pipe that is full), lines
    /// are counted and told of later, for the log must not hold up the agent.
    @discardableResult
    package static func write(_ line: [UInt8], to descriptor: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&request, 1, 0) == 1, request.revents & Int16(POLLOUT) != 0 else {
            lost.wrappingAdd(1, ordering: .relaxed)
            return false
        }
        var line = line
        let count = lost.exchange(0, ordering: .relaxed)
        if count > 0 {
            line = Array("tailrace: \(count) messages before this one were lost: nobody read them\n".utf8) + line
        }
        _ = line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        return true
    }
}

extension Logger.Level {
    /// syslog's numbers.
    fileprivate var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
