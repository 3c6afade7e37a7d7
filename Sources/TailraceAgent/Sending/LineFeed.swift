import Glibc

/// What takes lines from a feed, on the feed's thread.
protocol LineSink {
    /// Bytes of a line at most.
    var maximumLine: Int { get }
    /// Nobody takes lines any more.
    var isClosed: Bool { get }
    /// When `timeOver` is to be called; nil: not now.
    var due: ContinuousClock.Instant? { get }
    /// Lines that were given and that nobody took any more.
    var unsent: Int { get }

    /// Takes the lines below `count` of the scanner. False when nobody takes lines any more.
    mutating func take(_ count: Int, of scanner: LineScanner) -> Bool
    /// False when nobody takes lines any more.
    mutating func timeOver() -> Bool
    /// Nothing more comes.
    mutating func end()
}

/// Reads lines from a descriptor and gives them to a sink, on a thread of its own.
struct LineFeed: Sendable {
    let descriptor: CInt
    let stop: StopPipe
    let tell: @Sendable (String) -> Void

    /// What was read, in the end.
    struct Outcome: Sendable {
        /// Lines that were too long.
        var passedOver: UInt64 = 0
        /// Events that nobody took any more.
        var unsent = 0
        /// Bytes of a line that was not at its end when the reading was stopped.
        var unfinished: UInt64 = 0
        var error: String?
    }

    private static let longLinesTold: UInt64 = 10

    func run(into sink: inout some LineSink) -> Outcome {
        var outcome = Outcome()
        let scanner = LineScanner(maximumLine: sink.maximumLine)

        func tellTooLong() {
            for line in scanner.takeTooLong() {
                outcome.passedOver += 1
                guard outcome.passedOver <= Self.longLinesTold else { continue }
                tell(
                    "line \(line.number): \(counted(line.length, "byte")), and a batch has room for"
                        + " \(scanner.maximumLine); it is not sent")
            }
        }

        reading: while !sink.isClosed {
            switch wait(until: sink.due) {
            case .stopped:
                outcome.unfinished = scanner.unfinished
                break reading
            case .timeOver:
                guard sink.timeOver() else { break reading }
                continue
            case .readable: break
            }
            let room = scanner.room()
            let count = read(descriptor, room.baseAddress, min(room.count, LineScanner.block))
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                outcome.error = "cannot read standard input: \(SystemError.describe(errno))"
                break
            }
            if count == 0 {
                _ = sink.take(scanner.finish(), of: scanner)
                tellTooLong()
                break
            }
            scanner.didRead(count)
            while true {
                let found = scanner.scan()
                if found == 0 { break }
                guard sink.take(found, of: scanner) else { break reading }
            }
            tellTooLong()
        }
        sink.end()
        outcome.unsent = sink.unsent
        return outcome
    }

    private enum Wait { case readable, timeOver, stopped }

    private func wait(until due: ContinuousClock.Instant?) -> Wait {
        while true {
            var timeout: CInt = -1
            if let due {
                let (seconds, attoseconds) = ContinuousClock.now.duration(to: due).components
                let milliseconds = seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
                if milliseconds <= 0 { return .timeOver }
                timeout = CInt(clamping: milliseconds)
            }
            var descriptors = [
                pollfd(fd: stop.reading, events: Int16(POLLIN), revents: 0),
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&descriptors, 2, timeout)
            if count < 0 { continue }
            if descriptors[0].revents != 0 { return .stopped }
            if descriptors[1].revents != 0 { return .readable }
        }
    }
}
