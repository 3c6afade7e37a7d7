import Glibc

/// The broker of the Python package pulsar-lite, on a port of its own.
public final class PulsarLite {
    public let child: Child
    public let serviceURL: String

    /// - Parameters:
    ///   - python: the interpreter of an environment that has pulsar-lite.
    ///   - script: `pulsar_broker.py`.
    ///   - directory: made anew for its store.
    public init(python: String, script: String, directory: String) {
        Child(["rm", "-rf", directory]).wait()
        mkdir(directory, 0o700)
        let port = Int.random(in: 20_000..<32_768)
        serviceURL = "pulsar://127.0.0.1:\(port)"
        // It tells on its standard error that it listens.
        child = Child([
            "sh", "-c", "exec \"$@\" 2>&1", "sh", python, script, "--config", "\(directory)/none", "--addr",
            "127.0.0.1:\(port)", "--db-path",
            "\(directory)/store", "--log-level", "info",
        ])
        repeat {
            guard let line = child.readLine() else { fail("start pulsar-lite on port \(port)", 0) }
            if line.contains("Server listening on") { return }
        } while true
    }
}
