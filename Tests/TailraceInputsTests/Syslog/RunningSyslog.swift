import Glibc
import Logging
import TailraceInputs
import TailraceSpool
import Testing

/// A syslog input on a thread of its own.
final class RunningSyslog {
    let input: SyslogInput
    let sockets: [ListeningSocket]
    private var thread: pthread_t?

    init(
        _ listen: [String], sink: SyslogSink, passed: PassedSockets? = nil,
        _ change: (inout SyslogConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = SyslogConfiguration(name: "net", listen: try listen.map { try #require(SyslogAddress($0)) })
        change(&configuration)
        let listeners = try SyslogListeners.open(configuration, passed: passed ?? .ofThisProcess)
        sockets = listeners.sockets
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let input = try SyslogInput(configuration, listeners, host: "agent-host", sink: sink, logger: quiet)
        self.input = input
        thread = startThread("syslog") { input.run() }
    }

    deinit { stop() }

    /// Returns when everything has been written, or given up.
    func stop() {
        guard let thread else { return }
        self.thread = nil
        input.stop()
        pthread_join(thread, nil)
    }

    func drops(_ reason: String) -> UInt64 {
        input.reports(timeoutMilliseconds: 0)["net"]?.drops.first { $0.reason == reason }?.records ?? .max
    }
}
