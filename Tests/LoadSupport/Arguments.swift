/// The command line of a load program: a mode, then options with a value each.
package struct Arguments: Sendable {
    package let mode: String
    private let words: [String]

    package init?(_ words: [String]) {
        guard words.count > 1 else { return nil }
        mode = words[1]
        self.words = words
    }

    package func text(_ name: String) -> String? {
        guard let index = words.firstIndex(of: "--\(name)"), index + 1 < words.count else { return nil }
        return words[index + 1]
    }

    package func number(_ name: String, _ standard: Int) -> Int { text(name).flatMap { Int($0) } ?? standard }
}
