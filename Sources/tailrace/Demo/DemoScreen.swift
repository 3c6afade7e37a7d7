import Glibc
import TailraceAgent

/// Shows how the demo goes: a block of lines that is drawn anew on a terminal, else a line a second.
struct DemoScreen {
    private let isTerminal = isatty(STDOUT_FILENO) == 1
    private var drawn = 0
    private var lastLine: Int64 = 0

    /// How it stands now.
    struct Scene {
        var seconds: Double
        var written: Int
        var bytes: Int
        var rotations: Int
        var megabytesPerSecond: Double
        /// Nil while no agent answers.
        var status: DemoStatus?
        var phase: String
    }

    /// Something happened: stays on the screen.
    mutating func say(_ text: String) {
        erase()
        Tailrace.write(Array((text + "\n").utf8))
    }

    /// Draws the scene: on a terminal each time, else at most once a second.
    mutating func show(_ scene: Scene) {
        if isTerminal {
            let lines = Self.block(scene)
            erase()
            Tailrace.write(Array((lines.joined(separator: "\n") + "\n").utf8))
            drawn = lines.count
            return
        }
        let now = LogWriter.now()
        guard now - lastLine >= 1_000_000_000 else { return }
        lastLine = now
        Tailrace.write(Array((Self.line(scene) + "\n").utf8))
    }

    private mutating func erase() {
        guard drawn > 0 else { return }
        Tailrace.write(Array("\u{1B}[\(drawn)A\u{1B}[J".utf8))
        drawn = 0
    }

    private static func line(_ scene: Scene) -> String {
        var text = "\(decimal(scene.seconds, width: 5)) s  written \(grouped(scene.written))"
        if let status = scene.status {
            text += "  spooled \(grouped(status.spooled))  acknowledged \(grouped(status.acknowledged))"
            text += "  lag \(grouped(max(0, scene.written - status.acknowledged)))"
        } else {
            text += "  (no agent)"
        }
        return text + "  \(decimal(scene.megabytesPerSecond)) MB/s  \(scene.phase)"
    }

    private static func block(_ scene: Scene) -> [String] {
        var lines = [
            "",
            "  time          \(decimal(scene.seconds)) s   \(scene.phase)",
            "  written       \(grouped(scene.written)) lines, \(decimal(Double(scene.bytes) / 1e6)) MB, \(scene.rotations) rotations",
        ]
        guard let status = scene.status else {
            lines.append("  agent         is not running")
            return lines
        }
        lines += [
            "  spooled       \(grouped(status.spooled))",
            "  acknowledged  \(grouped(status.acknowledged))   \(decimal(scene.megabytesPerSecond)) MB/s",
            "  lag           \(grouped(max(0, scene.written - status.acknowledged))) lines",
        ]
        for (index, last) in status.partitions.enumerated() {
            let text = last.map { "acknowledged up to record \(grouped($0))" } ?? "no records yet"
            lines.append("  partition \(index)   \(text)")
        }
        return lines
    }

    /// `1234567` as `1,234,567`.
    static func grouped(_ number: Int) -> String {
        let digits = String(number)
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0, result != "-" { result += "," }
            result.append(digit)
        }
        return result
    }

    /// With one digit behind the point.
    static func decimal(_ number: Double, width: Int = 0) -> String {
        let tenths = Int((number * 10).rounded())
        let text = "\(tenths / 10).\(abs(tenths % 10))"
        return String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
