import Glibc

/// Where an agent sends to, in a process of its own.
public protocol Service {
    var child: Child { get }
    /// What leads there in the configuration of an output.
    var output: String { get }
}

extension Service {
    /// Writes a configuration of an agent that tails `include` and sends to this; the state lies beside it.
    ///
    /// - Parameters:
    ///   - spoolSize: of `[spool]`.
    ///   - more: lines of the output.
    public func configureAgent(
        directory: String, include: String, sync: String, spoolSize: String = "10GiB", more: String = ""
    ) -> String {
        mkdir("\(directory)/state", 0o700)
        let path = "\(directory)/tailrace.toml"
        write(
            """
            [agent]
            state_directory = "\(directory)/state"
            metrics = ""
            [spool]
            sync = "\(sync)"
            maximum_size = "\(spoolSize)"
            [input.bench]
            type = "file"
            include = ["\(include)"]
            [output.service]
            \(output)
            key = "source"
            \(more)

            """, to: path)
        return path
    }
}
