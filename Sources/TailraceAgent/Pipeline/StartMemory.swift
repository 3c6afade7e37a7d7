/// When memory that only the start needed is to be given back: soon after the start, and once more when what lay there at
/// the start, which may be much, has been read and sent.
struct StartMemory {
    private var looks = 0
    private var last: (next: UInt64, released: UInt64) = (0, 0)
    /// Nothing more is to be given back.
    private(set) var isSettled = false

    /// Tells whether this is the moment. Called now and then until it is settled.
    ///
    /// - Parameters:
    ///   - next: the id that the spool's next record gets.
    ///   - released: the first id that the spool still has to keep.
    mutating func isToBeReleased(next: UInt64, released: UInt64) -> Bool {
        defer {
            last = (next, released)
            looks += 1
        }
        if looks == 0 { return true }
        isSettled = last == (next, released)
        return isSettled
    }
}
