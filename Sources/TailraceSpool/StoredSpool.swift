/// A spool as it lies in its directory, looked at without opening it: nothing is changed, no lock is taken, and an agent
/// may be writing to it. What was not durable yet is left out, as at a start after a crash.
package struct StoredSpool {
    package struct Segment: Equatable, Sendable {
        /// The file's name.
        package var name: String
        package var generation: UInt64
        /// Ids of its records.
        package var ids: Range<UInt64>
        /// The file's length, which is what was reserved for it.
        package var bytes: Int
        /// Bytes of it that hold something.
        package var used: Int
        /// Milliseconds since 1970, UTC; nil when its header is damaged.
        package var created: Int64?
        /// Its own header or checkpoint is damaged, as far as was looked.
        package var isDamaged: Bool
    }

    package struct Ledger: Equatable, Sendable {
        /// The output's name.
        package var output: String
        /// Nil when no slot of it can be read.
        package var state: LedgerState?
        package var damagedSlots: Int
    }

    package let directory: String
    private let survey: SpoolSurvey

    /// Reads headers, ledgers, and from the newest segment that can stand alone; with `everything` every byte, and then
    /// `damage` is complete.
    ///
    /// - Parameter progress: called after each segment that was read, with the bytes read so far and those in all.
    package init(
        directory path: String, everything: Bool = false, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(SpoolError) {
        directory = path
        survey = try SpoolSurvey(
            SpoolDirectory(path: path), depth: everything ? .everything : .newest, isShared: true, progress: progress)
    }

    package var segments: [Segment] {
        survey.segments.map { segment in
            let first = segment.first ?? 0
            return Segment(
                name: segment.name, generation: segment.generation, ids: first..<max(first, segment.end ?? first),
                bytes: segment.fileSize, used: segment.limit, created: segment.header?.created,
                isDamaged: segment.header == nil || segment.scan?.hasCheckpoint == false)
        }
    }

    package var ledgers: [Ledger] {
        survey.ledgers.map { name, contents in
            Ledger(
                output: String(name.dropLast(".ledger".utf8.count)), state: contents.state,
                damagedSlots: contents.damagedSlots)
        }
    }

    /// How far each source has been read.
    package var positions: [SourceKey: [UInt8]] { survey.positions }

    /// Spare and half-made segments.
    package var spares: Int { survey.leftovers.count }

    package var foreignFiles: [String] { survey.foreignFiles }

    /// The lowest id that an output still wants; without ledgers, the first that is there.
    package var floor: UInt64 { max(survey.floor ?? 0, firstSequence) }

    package var firstSequence: UInt64 { survey.segments.first?.first ?? 0 }

    /// The id after the last durable record.
    package var endSequence: UInt64 { survey.segments.last?.end ?? 0 }

    /// What is damaged in the segments that were read through.
    package var damage: [SpoolDamage] { survey.segments.flatMap(\.damage) }

    /// Bytes behind the last durable record that a start would cut: they were on their way to the disk.
    package var unfinishedBytes: Int { survey.cut?.count ?? 0 }

    /// The durable frames with records from `sequence` on.
    package func frames(from sequence: UInt64 = 0) -> StoredFrames {
        StoredFrames(survey.directory, survey.segments, from: sequence)
    }
}

extension Spool {
    /// The positions that lie in a spool's directory, read without opening the spool.
    package static func storedPositions(directory path: String) throws(SpoolError) -> [SourceKey: [UInt8]] {
        try StoredSpool(directory: path).positions
    }
}
