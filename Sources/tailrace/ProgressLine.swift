import Glibc
import TailraceAgent

/// One line on a terminal that is written anew; nothing when standard error is no terminal.
struct ProgressLine: Sendable {
    let isShown = isatty(STDERR_FILENO) == 1

    func show(_ text: String) {
        guard isShown else { return }
        StandardErrorLog.writeToStandardError(Array("\r\(text)\u{1B}[K".utf8))
    }

    func clear() {
        guard isShown else { return }
        StandardErrorLog.writeToStandardError(Array("\r\u{1B}[K".utf8))
    }
}
