/// A piece of a record's way, alone on the calling thread. A pass does the same work whichever it is: so what two passes cost
/// more than one is the piece's own cost, without that of preparing it.
protocol Stage {
    func pass() throws
}

/// A stage by its name, before anything is prepared for it.
struct StageKind: Sendable {
    /// Of the command line and of the guard's limits.
    let name: String
    /// For people.
    let title: String
    /// Records of a pass, or keys.
    let records: Int
    /// Bytes of a pass; 0 when they are not what matters.
    let bytes: Int
    /// Prepares it; what it keeps on the disk lies in this directory, which is there.
    let make: @Sendable (_ directory: String) throws -> any Stage

    static let all: [StageKind] =
        [LineStage.plain, LineStage.tailer] + MessageStage.kinds
        + [
            AppendStage.kind, SpoolReadingStage.kind, EncodingStages.eventHubs, EncodingStages.pulsar, ClientStage.kind,
            TLSStage.kind, ChecksumStage.kind, HashStage.kind,
        ]
}
