import Glibc

/// The terminal while it shows a screen of ours: keys come at once and without echo, and its own screen comes back at the end.
final class Terminal {
    enum Key { case quit, up, down, pageUp, pageDown, resized, timeout, other }

    private var before = termios()
    /// Raised by a signal that ends the process.
    private nonisolated(unsafe) static var isEnding = false

    /// Nil: standard input or output is no terminal.
    init?() {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &before) == 0 else {
            return nil
        }
        var raw = before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        // Without SA_RESTART, so that a wait ends.
        for number in [SIGINT, SIGTERM, SIGHUP] { Self.handle(number) { _ in Terminal.isEnding = true } }
        Self.handle(SIGWINCH) { _ in }
        write("\u{1B}[?1049h\u{1B}[?25l")
    }

    deinit {
        write("\u{1B}[?25h\u{1B}[?1049l")
        tcsetattr(STDIN_FILENO, TCSANOW, &before)
    }

    private static func handle(_ number: CInt, _ handler: @escaping @convention(c) (CInt) -> Void) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = handler
        sigaction(number, &action, nil)
    }

    /// Columns and rows; 80 and 24 when the terminal does not know.
    var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Each line in its place, and nothing else.
    func show(_ lines: [String]) {
        var text = "\u{1B}[H"
        for (index, line) in lines.enumerated() {
            text += line + "\u{1B}[K" + (index + 1 < lines.count ? "\r\n" : "")
        }
        write(text + "\u{1B}[J")
    }

    private func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno != EINTR { return }
            bytes = bytes.dropFirst(max(0, count))
        }
    }

    /// Waits for a key, at most so long.
    func key(milliseconds: Int) -> Key {
        if Self.isEnding { return .quit }
        var wanted = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        let count = poll(&wanted, 1, CInt(milliseconds))
        if Self.isEnding { return .quit }
        if count < 0 { return .resized }
        if count == 0 { return .timeout }
        var bytes = [UInt8](repeating: 0, count: 16)
        let length = read(STDIN_FILENO, &bytes, bytes.count)
        // The terminal is gone.
        guard length > 0 else { return .quit }
        switch String(decoding: bytes[..<length], as: UTF8.self) {
        case "q", "Q", "\u{04}": return .quit
        case "\u{1B}[A", "\u{1B}OA", "k": return .up
        case "\u{1B}[B", "\u{1B}OB", "j": return .down
        case "\u{1B}[5~": return .pageUp
        case "\u{1B}[6~", " ": return .pageDown
        default: return .other
        }
    }
}
