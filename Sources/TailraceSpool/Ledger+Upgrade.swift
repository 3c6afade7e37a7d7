extension Ledger {
    /// What the name of a half-made file ends in; it holds nothing that counts.
    static let unfinishedSuffix = ".ledger.new"

    /// Puts a file of the newest format in the place of an older one. Whenever this is interrupted, by a kill or by a
    /// power cut, the name leads to one whole ledger: the old file until the new one is on the disk, then the new one.
    static func upgrade(
        _ directory: SpoolDirectory, _ name: String, _ contents: LedgerFormat.Contents
    ) throws(SpoolFileError) -> (SpoolFile, LedgerFormat.Contents) {
        let unfinished = "\(name).new"
        // Left by an attempt that was interrupted.
        if try directory.names().contains(unfinished) { try directory.unlink(unfinished) }
        var upgraded = contents
        upgraded.version = LedgerFormat.version
        upgraded.revision += 1
        upgraded.slot = 0
        upgraded.damagedSlots = 0
        let file = try directory.open(unfinished, .createNew)
        try file.preallocate(LedgerFormat.fileSize)
        if let state = contents.state {
            try file.write(LedgerFormat.encode(state, revision: upgraded.revision), at: 0)
        }
        try file.sync()
        try directory.rename(unfinished, to: name)
        try directory.sync()
        return (try directory.open(name, .readWrite), upgraded)
    }
}
