internal import TailraceSpool

/// One pass over the spool for partitions that lag, behind the drain's own.
struct CatchUp {
    let reader: SpoolReader
    /// Those that are served; the others lag on.
    var partitions: Set<Int>
    /// The frame that is being put into batches, and the index of its next record.
    var frame: (view: SpoolFrame, next: Int)?

    /// Steps over the next frame if it is known to be of a partition that is not served.
    func stepOver<Header>(by routes: RouteTable<Header>) throws(SpoolError) -> Bool {
        try reader.stepOver { context in routes.known(context).map { !partitions.contains($0.partition) } ?? false }
    }
}
