internal import TailraceSpool

/// One pass over the spool for partitions that lag, behind the drain's own.
struct CatchUp {
    let reader: SpoolReader
    /// Those that are served; the others lag on.
    var partitions: Set<Int>
    /// The frame that is being put into batches, and the index of its next record.
    var frame: (view: SpoolFrame, next: Int)?
}
