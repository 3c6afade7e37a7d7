import TailraceSpool

extension Installation: TortureReader {
    func start() throws { try startAgent() }
    func kill() { killAgent() }

    var isRead: @Sendable (Int32) -> Bool {
        let spool = spool
        return { descriptor in
            Torture.isRead(descriptor) { (try? Spool.storedPositions(directory: spool)) ?? [:] }
        }
    }
}
