import Glibc

/// A hub in a process of its own, and what a client needs to reach it.
struct DemoHub {
    static let partitions = 4
    let process: OwnProcess
    let address: String
    let connectionString: String
    let authorityFile: String

    /// Starts it and waits until it listens.
    ///
    /// - Parameter address: where; port 0 = any free one.
    static func start(
        in directory: String, address: String = "127.0.0.1:0", key: String, program: String = "/proc/self/exe"
    ) throws -> DemoHub {
        let log = "\(directory)/hub"
        unlink("\(log).out")
        let process = try OwnProcess(
            [
                "hub", "--listen", address, "--hub", "logs", "--partitions", "\(partitions)", "--sas-key", key,
                "--store", "\(directory)/hub-store", "--certificate-directory", "\(directory)/certificates",
            ], log: log, program: program)
        for _ in 0..<1500 {
            if let hub = DemoHub(process, output: OwnProcess.text("\(log).out")) { return hub }
            if process.hasEnded { break }
            usleep(10_000)
        }
        throw OwnProcess.Failure(description: "the hub does not start: \(process.lastErrors)")
    }

    private init?(_ process: OwnProcess, output: String) {
        func value(_ name: String) -> String? {
            output.split(separator: "\n").first { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count)) }
        }
        guard output.hasSuffix("\n"), let address = value("listening on "),
            let connectionString = value("connection string: "), let authorityFile = value("ca file: ")
        else { return nil }
        self.process = process
        self.address = address
        self.connectionString = connectionString
        self.authorityFile = authorityFile
    }
}
