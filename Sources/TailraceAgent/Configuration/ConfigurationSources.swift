/// The files that a configuration is made of, and all their lines as one row of numbers: such a number tells file and line.
struct ConfigurationSources {
    /// More lines than a file can have.
    private static let linesPerFile = TOMLDocument.maximumSize + 2

    /// Paths: the configuration itself, then those of `conf.d` in the order in which they count.
    let files: [String]

    /// What is added to the lines of a file.
    func base(of index: Int) -> Int { index * Self.linesPerFile }

    /// Where a line is, counted from 1; what has none belongs to the configuration itself.
    func place(_ line: Int?) -> (file: String, line: Int?) {
        guard let line else { return (files[0], nil) }
        return (files[line / Self.linesPerFile], line % Self.linesPerFile)
    }
}
