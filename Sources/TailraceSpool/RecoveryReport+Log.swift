internal import Logging

extension RecoveryReport {
    /// Says what was found when it is worth saying.
    func log(to logger: Logger) {
        if !foreignFiles.isEmpty {
            logger.warning(
                "files in the spool's directory that are not ours were left alone",
                metadata: [
                    "files": "\(foreignFiles.prefix(10).joined(separator: " "))", "count": "\(foreignFiles.count)",
                ])
        }
        guard !isClean else { return }
        logger.warning(
            "the spool was recovered",
            metadata: [
                "records_lost": "\(lostRecords)", "records_cut": "\(cutRecords)", "bytes_cut": "\(cutBytes)",
                "ids_skipped": "\(skippedSequences)", "next_id": "\(nextSequence)",
                "damaged_segments": "\(damagedSegments.prefix(10).joined(separator: " "))",
            ])
    }
}
