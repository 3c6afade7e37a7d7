import EventHubs
import Glibc
import TestSupport
import Testing

/// `tailrace hub` in a process of its own, which can be held with SIGSTOP.
struct HubProcess {
    let process: ChildProcess
    let connection: EventHubsConnectionString
    /// What an output says to reach it.
    let output: String

    /// - Parameter certificates: where its certificates are or will be.
    init(certificates: String, partitions: Int = 2) throws {
        process = try ChildProcess(
            ChildProcess.tailrace(),
            [
                "hub", "--listen", "127.0.0.1:0", "--partitions", "\(partitions)", "--certificate-directory",
                certificates,
            ])
        let mark = "connection string: "
        while !process.output.contains(mark) {
            guard process.isRunning else { throw ChildProcess.Failure("the hub has ended: \(process.errorOutput)") }
            usleep(10_000)
        }
        let line = process.output.split(separator: "\n").first { $0.hasPrefix(mark) }
        let text = String(try #require(line).dropFirst(mark.count))
        connection = try EventHubsConnectionString(text)
        output = "connection_string = \"\(text)\"\nca_file = \"\(certificates)/ca.pem\""
    }
}

extension ChildProcess {
    /// The program as it was built with the tests, or the build of it that `TAILRACE_COMMAND` names.
    static func tailrace() throws -> String {
        try getenv("TAILRACE_COMMAND").map { String(cString: $0) } ?? built("tailrace")
    }
}
