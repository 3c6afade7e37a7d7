import Glibc
internal import TailraceInputs

/// Whether there is a journal, a program to read it with, and the right to.
enum JournalCheck {
    static func run(_ input: JournalConfiguration, _ findings: Findings) {
        let subject = "input \(input.name)"
        if access(input.program, X_OK) != 0 {
            findings.error(
                subject, input.program, "cannot be run: \(SystemError.describe(errno))",
                remedy: "install the package systemd")
        }
        switch JournalAccess.check(input) {
        case .granted: findings.ok(subject, input.source, "can be read by \(ProcessUser.name)")
        case .troubled(let text): findings.error(subject, input.source, text)
        }
    }
}
