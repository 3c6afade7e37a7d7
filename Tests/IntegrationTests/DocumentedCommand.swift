import TestSupport

/// A command line that README, manual pages or alert rules tell people to type.
struct DocumentedCommand: Hashable, CustomStringConvertible {
    /// Without comments.
    let text: String
    var description: String { text }

    var words: [String] { text.split(separator: " ").map(String.init) }

    /// A word with which a command begins; what begins otherwise is a name, a key or a value.
    private static let programs: Set<String> = [
        "tailrace", "make", "packaging/build-deb", "apt", "editor", "systemctl", "systemd-analyze", "sysctl",
        "journalctl",
        "kill", "promtool", "curl", "runuser",
    ]

    private init?(_ line: some StringProtocol) {
        let text = line.prefix { $0 != "#" }.split(separator: " ").joined(separator: " ")
        let words = text.split(separator: " ")
        guard let first = words.first, Self.programs.contains(String(first)), words.count > 1 || first != "tailrace"
        else {
            return nil
        }
        // A program alone is spoken of, not run.
        guard words.count > 1 || first.contains("/") else { return nil }
        self.text = text
    }

    /// Of the README: lines of blocks for a shell, and what stands in backquotes in the text.
    static func ofReadme() -> [DocumentedCommand] {
        let text = ChildProcess.text("\(HazardTests.root)/README.md")
        let parts = text.split(separator: "```", omittingEmptySubsequences: false)
        var commands: [DocumentedCommand] = []
        for (index, part) in parts.enumerated() {
            if index % 2 == 0 {
                commands += quoted(part)
            } else if let language = part.split(separator: "\n").first, ["sh", "console"].contains(language) {
                let lines = part.split(separator: "\n").dropFirst()
                // A root shell's prompt.
                commands += lines.compactMap { Self($0.hasPrefix("# ") ? $0.dropFirst(2) : $0) }
            }
        }
        return commands
    }

    static func ofAlerts() -> [DocumentedCommand] {
        let text = ChildProcess.text("\(HazardTests.root)/packaging/monitoring/tailrace.rules.yml")
        return quoted(Substring(text))
    }

    private static func quoted(_ text: Substring) -> [DocumentedCommand] {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
            .compactMap { Self($0.element.replacing("\n", with: " ")) }
    }

    /// Of a page of the manual: lines of literal blocks, and what is quoted in the text.
    static func of(_ page: ManualPage) -> [DocumentedCommand] {
        page.blocks.flatMap { $0.split(separator: "\n") }.compactMap { Self($0) }
            + page.lines.compactMap { line in
                guard let macro = [".Ql ", ".Cm ", ".Pq Ql ", ".Po Ql ", ".Dl "].first(where: { line.hasPrefix($0) })
                else {
                    return nil
                }
                // What follows a closing macro, and punctuation, is not part of it.
                var words = line.dropFirst(macro.count).split(separator: " ")
                if let end = words.firstIndex(where: { ["Pc", "Ns", "No"].contains($0) }) {
                    words.removeSubrange(end...)
                }
                while let last = words.last, last.allSatisfy({ ".,:;()".contains($0) }) { words.removeLast() }
                return Self(words.joined(separator: " ").replacing("\\(dq", with: "\"").replacing("\\-", with: "-"))
            }
    }
}
