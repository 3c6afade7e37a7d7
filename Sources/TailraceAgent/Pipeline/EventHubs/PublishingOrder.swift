/// The batches that a lane has sent and that are not over, in their order: a value without clock or connection.
///
/// A lane hears of a failure later than it happens. What it has sent by then must not be published before what failed: a
/// service that numbers records would take it in that one's place. So nothing is published while an older batch has failed
/// and was not sent again.
struct PublishingOrder<Batch: AnyObject> {
    private struct Entry {
        let batch: Batch
        /// It failed, and comes again.
        var hasFailed = false
    }

    /// As many as a lane's window has.
    private var entries: [Entry] = []

    /// The lane sends a batch. False: an older one has to come again first, and so this one too.
    mutating func send(_ batch: Batch) -> Bool {
        let index = entries.firstIndex { $0.batch === batch } ?? entries.endIndex
        if index == entries.endIndex { entries.append(Entry(batch: batch)) }
        let isNext = entries[..<index].allSatisfy { !$0.hasFailed }
        entries[index].hasFailed = !isNext
        return isNext
    }

    /// It failed, and the lane will send it again.
    mutating func failed(_ batch: Batch) {
        guard let index = entries.firstIndex(where: { $0.batch === batch }) else { return }
        entries[index].hasFailed = true
    }

    /// The service has it.
    mutating func accepted(_ batch: Batch) { entries.removeAll { $0.batch === batch } }

    /// It was refused for good, or given up. Its lane sends nothing more until all that it has sent is over, and begins with
    /// what takes its place: so what is behind is new again.
    mutating func refused(_ batch: Batch) {
        guard let index = entries.firstIndex(where: { $0.batch === batch }) else { return }
        entries.removeSubrange(index...)
    }
}
