/// One thing that is wrong in a configuration: what, where, and what to do about it.
package struct ConfigurationProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The path of the configuration, or of a file of its `conf.d`.
    package var file: String
    /// Counted from 1; nil when the problem has no line, such as a file that cannot be read.
    package var line: Int?
    package var message: String
    package var remedy: String

    package var description: String {
        let place = line.map { "\(file):\($0)" } ?? file
        return "\(place): \(message); \(remedy)"
    }
}

/// Everything that is wrong in a configuration, in the order of its files and their lines. Never empty.
package struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    package let problems: [ConfigurationProblem]

    package init(_ problems: [ConfigurationProblem]) {
        precondition(!problems.isEmpty)
        self.problems = problems
    }

    /// One line per problem.
    package var description: String { problems.map(\.description).joined(separator: "\n") }
}
