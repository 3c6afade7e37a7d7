import Measuring

/// What shipping all logs took.
struct Figures {
    /// MB/s.
    var rate = 0.0
    /// Seconds of a processor for each GiB.
    var processor = 0.0
    /// Of the other side, likewise.
    var otherProcessor = 0.0
    /// Resident, in MiB.
    var peak = 0.0
    /// Bytes written to the disk for each byte of the logs.
    var written = 0.0

    init(_ logs: Logs, seconds: Double, processor: Double) {
        rate = Double(logs.bytes) / 1e6 / seconds
        self.processor = processor / logs.gibibytes
    }

    /// - Parameter child: still there.
    init(_ logs: Logs, seconds: Double, of child: Child) {
        self.init(logs, seconds: seconds, processor: child.processorSeconds)
        peak = child.peakMiB
        written = Double(child.bytesWritten) / Double(logs.bytes)
    }
}
