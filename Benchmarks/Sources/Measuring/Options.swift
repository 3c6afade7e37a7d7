import Glibc

/// What a benchmark was asked for: the program to measure first, then `--name value`.
public struct Options {
    private let words: [String]

    public init(_ words: [String] = Array(CommandLine.arguments.dropFirst())) { self.words = words }

    /// The programs before the options; ends the benchmark with how it is used when there are fewer than `count`.
    public func programs(_ count: Int, usage: String) -> [String] {
        let programs = words.prefix { !$0.hasPrefix("-") }
        guard programs.count >= count else {
            complain("usage: \(usage)")
            exit(2)
        }
        for program in programs where access(program, X_OK) != 0 { fail("run \(program)") }
        return Array(programs)
    }

    public func text(_ name: String, _ standard: String) -> String {
        guard let index = words.firstIndex(of: "--\(name)"), index + 1 < words.count else { return standard }
        return words[index + 1]
    }

    public func number(_ name: String, _ standard: Int) -> Int { Int(text(name, "")) ?? standard }
}
