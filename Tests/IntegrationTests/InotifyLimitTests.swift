import Glibc
import TestSupport
import Testing

/// The real agent where the kernel gives it no inotify: in a user namespace with limits of its own.
@Suite struct InotifyLimitTests {
    private let directory = TemporaryDirectory("inotify")
    /// Nobody listens there: what is read stays in the spool.
    private static let output =
        "connection_string = \"Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=logs\""

    @Test(arguments: [("max_inotify_instances", "max_user_instances"), ("max_inotify_watches", "max_user_watches")])
    func whereTheKernelHasNoneLeftFilesArePolledAndTheSysctlIsNamed(limit: String, sysctl: String) async throws {
        let agent = try AgentProcess(
            directory, output: Self.output,
            launcher: [
                "/usr/bin/unshare", "--user", "--map-root-user", "/bin/sh", "-c",
                "echo 0 > /proc/sys/user/\(limit) && exec \"$@\"", "sh",
            ])
        try agent.log(Array("one\n".utf8))
        _ = try await agent.status { $0.number("existed", in: "inputs") == 1 }
        try agent.log(Array("two\n".utf8))
        try agent.log(Array("three\n".utf8), to: "other.log")
        let status = try await agent.status { $0.number("existed", in: "inputs") == 3 }
        #expect(status.number("lag_bytes", in: "inputs") == 0)
        #expect(status.text.contains("{\"name\":\"polled directories\",\"value\":1}"))
        #expect(
            agent.process.errorOutput.contains("raise the sysctl fs.inotify.\(sysctl)"), "\(agent.process.errorOutput)")
        #expect(agent.stop() == .code(0))
    }
}
