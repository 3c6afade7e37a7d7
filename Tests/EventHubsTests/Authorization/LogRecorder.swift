import Logging
import Synchronization

/// Keeps what is logged, with the metadata, for a test to look at.
final class LogRecorder: Sendable {
    private let lines = Mutex<[(level: Logger.Level, text: String)]>([])

    var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self) } }

    func lines(_ level: Logger.Level) -> [String] { lines.withLock { $0.filter { $0.level == level }.map(\.text) } }
    var all: String { lines.withLock { $0.map(\.text).joined(separator: "\n") } }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(recorder: LogRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let extra = event.metadata ?? [:]
            recorder.lines.withLock { $0.append((event.level, "\(event.message) \(extra)")) }
        }
    }
}
