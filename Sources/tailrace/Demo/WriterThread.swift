import Glibc

/// Runs a `LogWriter` on a thread of its own.
final class WriterThread {
    private let writer: LogWriter
    private var thread = pthread_t()

    init(_ writer: LogWriter) {
        self.writer = writer
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<LogWriter>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(writer).toOpaque())
        precondition(code == 0, "no thread for the writer: error \(code)")
    }

    /// Ends the writer.
    func stop() {
        writer.stop()
        pthread_join(thread, nil)
    }
}
