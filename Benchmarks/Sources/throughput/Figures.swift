import Measuring

/// What shipping all logs took; nil what was not measured.
struct Figures {
    /// MB/s.
    let rate: Double
    /// Seconds of a processor for each GiB.
    var processor: Double?
    /// Of the other side, likewise.
    var otherProcessor: Double?
    /// Resident, in MiB.
    var peak: Double?
    /// Bytes written to the disk for each byte of the logs.
    var written: Double?

    init(_ logs: Logs, seconds: Double, processor: Double? = nil) {
        rate = Double(logs.bytes) / 1e6 / seconds
        self.processor = processor.map { $0 / logs.gibibytes }
    }

    /// - Parameter child: still there.
    init(_ logs: Logs, seconds: Double, of child: Child) {
        self.init(logs, seconds: seconds, processor: child.processorSeconds)
        peak = child.peakMiB
        written = Double(child.bytesWritten) / Double(logs.bytes)
    }
}
