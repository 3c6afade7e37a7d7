import Glibc
internal import Logging

/// What journalctl says on its error output: logged line by line, but not without end.
struct JournalComplaints {
    /// Lines per minute that are logged.
    static let linesPerMinute = 10
    /// Bytes of a line that are kept.
    static let maximumLine = 500

    private let logger: Logger
    private var line: [UInt8] = []
    private var minute: ContinuousClock.Instant?
    private var linesInMinute = 0
    private var suppressed = 0
    /// The last one, for the status.
    private(set) var last: String?

    init(_ logger: Logger) { self.logger = logger }

    /// Reads what is there.
    mutating func read(from child: JournalChild) {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(child.errors, &chunk, chunk.count)
            guard count > 0 else { return }
            for byte in chunk[..<count] {
                if byte == 0x0A {
                    finishLine()
                } else if line.count < Self.maximumLine {
                    line.append(byte)
                }
            }
        }
    }

    /// The reader has ended: so has its last line. What it said is of the past when another one starts.
    mutating func finish() -> String? {
        finishLine()
        defer { last = nil }
        return last
    }

    private mutating func finishLine() {
        guard !line.isEmpty else { return }
        let text = String(decoding: line, as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        last = text
        let now = ContinuousClock.now
        if let minute, now < minute.advanced(by: .seconds(60)) {
            linesInMinute += 1
        } else {
            minute = now
            linesInMinute = 1
        }
        guard linesInMinute <= Self.linesPerMinute else {
            suppressed += 1
            return
        }
        logger.warning("journalctl says: \(text)", metadata: suppressed > 0 ? ["suppressed": "\(suppressed)"] : nil)
        suppressed = 0
    }
}
