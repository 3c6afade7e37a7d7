/// Walks over the durable records of a spool that is not opened. Damaged frames, and segments that were released since
/// the survey, are stepped over.
package struct StoredFrames {
    private let directory: SpoolDirectory
    private var segments: ArraySlice<SpoolSurvey.Segment>
    private let cursor = FrameCursor()
    private var current: SpoolSurvey.Segment?
    /// The next id that has not been seen.
    private var expected: UInt64

    init(_ directory: SpoolDirectory, _ segments: [SpoolSurvey.Segment], from sequence: UInt64) {
        self.directory = directory
        self.segments = segments[...].drop { ($0.end ?? 0) <= sequence }
        expected = sequence
    }

    /// The next frame, valid until the next call; its `startIndex` tells the first record that was asked for.
    package mutating func next() throws(SpoolError) -> SpoolFrame? {
        try SpoolError.wrapping { () throws(SpoolFileError) in
            while true {
                if current == nil, try !enterNext() { return nil }
                guard let segment = current, let end = segment.end else { return nil }
                switch try cursor.next(minimum: segment.first ?? 0) {
                case .damaged: continue
                case .end: current = nil
                case .frame(let header, let payload):
                    guard header.kind == .records, header.firstSequence < end, header.endSequence > expected else {
                        continue
                    }
                    let start = header.firstSequence < expected ? Int(expected - header.firstSequence) : 0
                    expected = header.endSequence
                    return SpoolFrame(header: header, payload: payload, startIndex: start)
                }
            }
        }
    }

    private mutating func enterNext() throws(SpoolFileError) -> Bool {
        while let segment = segments.popFirst() {
            do throws(SpoolFileError) {
                let file = try directory.open(segment.name, .read)
                cursor.open(file, generation: segment.generation, offset: SegmentHeader.size, limit: segment.limit)
                current = segment
                return true
            } catch {
                guard error.isMissing else { throw error }
            }
        }
        return false
    }
}
