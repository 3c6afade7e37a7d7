/// Bytes of a segment that should be whole and are not, and the records that are lost with them.
package struct SpoolDamage: Equatable, Sendable {
    /// The segment's file name.
    package var segment: String
    /// Bytes of the file; empty when what is missing left nothing behind.
    package var bytes: Range<Int>
    /// Ids of the lost records; empty when only positions or hints were hit.
    package var ids: Range<UInt64>
}

extension SpoolSurvey.Segment {
    /// As far as the segment was read. Damage behind its last durable record is none: those bytes mean nothing.
    var damage: [SpoolDamage] {
        guard let scan, let first, let end else { return [] }
        var found: [SpoolDamage] = []
        func note(_ bytes: Range<Int>, _ lower: UInt64, _ upper: UInt64) {
            let upper = min(upper, end)
            found.append(SpoolDamage(segment: name, bytes: bytes, ids: min(lower, upper)..<upper))
        }
        if header == nil { note(0..<min(SegmentHeader.size, fileSize), first, scan.firstFrame ?? end) }
        for hole in scan.holes where hole.expected < end || (hole.isHarmless && hole.expected == end) {
            note(hole.range, hole.expected, hole.next ?? end)
        }
        let isEndMissing = end > max(scan.end, first) && scan.holes.last.map { $0.next != nil } ?? true
        if isEndMissing, scan.firstFrame != nil || header != nil {
            note(scan.validEnd..<scan.validEnd, max(scan.end, first), end)
        }
        return found
    }

    /// Records that were durable once and are not there, as far as was looked.
    var lostRecords: UInt64 { damage.reduce(0) { $0 + UInt64($1.ids.count) } }
}
