import Glibc

/// Tells a thread that waits in `poll` to stop; may be raised from a signal handler.
package final class StopPipe: Sendable {
    /// Readable for good once it was raised.
    let reading: CInt
    private let writing: CInt

    package init() {
        var ends: [CInt] = [-1, -1]
        let code = pipe(&ends)
        precondition(code == 0, "no pipe: \(errno)")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (reading, writing) = (ends[0], ends[1])
    }

    deinit {
        close(reading)
        close(writing)
    }

    package func raise() { Self.raise(writing) }

    private static func raise(_ descriptor: CInt) {
        var byte: UInt8 = 0
        _ = write(descriptor, &byte, 1)
    }

    /// For the handler: set before it is installed, and the pipe then lives as long as the process.
    private nonisolated(unsafe) static var signalled: CInt = -1

    /// Raises on the first SIGINT or SIGTERM; the next one ends the process.
    package func raiseOnSignals() {
        Self.signalled = dup(writing)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                signal(number, SIG_DFL)
                StopPipe.raise(StopPipe.signalled)
            }
        }
    }
}
