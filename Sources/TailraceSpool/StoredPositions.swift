extension Spool {
    /// The positions that lie in a spool's directory, read without opening the spool: nothing is changed, and another
    /// process may be writing. What was not durable yet is left out, as at a start after a crash (rules 4 and 8 of
    /// recovery).
    package static func storedPositions(directory path: String) throws(SpoolError) -> [SourceKey: [UInt8]] {
        let segments: [StoredSegment]
        do throws(SpoolFileError) {
            segments = try newestSegments(SpoolDirectory(path: path))
        } catch {
            throw .file(error)
        }
        for segment in segments {
            if case .newer(let version) = segment.header {
                throw .newerVersion(path: segment.file.path, version: version)
            }
        }
        do throws(SpoolFileError) {
            return try positions(of: segments)
        } catch {
            throw .file(error)
        }
    }

    private struct StoredSegment {
        var generation: UInt64
        var file: SpoolFile
        var header: SegmentHeader.Decoded
    }

    /// From the newest that can stand alone.
    private static func newestSegments(_ directory: SpoolDirectory) throws(SpoolFileError) -> [StoredSegment] {
        let generations = try directory.names().compactMap { SegmentName.generation($0, suffix: ".spool") }.sorted()
        let cursor = FrameCursor()
        var segments: [StoredSegment] = []
        for generation in generations.reversed() {
            let file: SpoolFile
            do throws(SpoolFileError) {
                file = try directory.open(SegmentName.segment(generation), .read)
            } catch {
                // Released meanwhile, and so are those before it.
                if error.isMissing { break }
                throw error
            }
            let bytes = try file.read(min(SegmentHeader.size, file.size()), at: 0)
            let header = bytes.withUnsafeBytes { SegmentHeader.decode($0) }
            segments.insert(StoredSegment(generation: generation, file: file, header: header), at: 0)
            if try SegmentScan.hasCheckpoint(file, generation, cursor) { break }
        }
        return segments
    }

    private static func positions(of segments: [StoredSegment]) throws(SpoolFileError) -> [SourceKey: [UInt8]] {
        let cursor = FrameCursor()
        var positions: [SourceKey: [UInt8]] = [:]
        for (index, segment) in segments.enumerated() {
            var limit = try segment.file.size()
            var first: UInt64?
            if case .header(let header) = segment.header { first = header.firstSequence }
            var scan: SegmentScan
            repeat {
                scan = try SegmentScan.run(
                    segment.file, generation: segment.generation, first: first, limit: limit, positions: positions,
                    cursor)
                guard index == segments.count - 1, let hole = scan.firstUncommittedHole,
                    scan.validEnd > hole.range.lowerBound
                else { break }
                limit = hole.range.lowerBound
            } while true
            positions = scan.positions
        }
        return positions
    }
}
