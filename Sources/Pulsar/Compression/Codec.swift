/// One algorithm with what it needs to work: its functions and, where it has one, its working memory.
///
/// Used by one thread at a time: by whoever has taken it out of the pool.
protocol Codec: AnyObject, Sendable {
    /// The most that `count` bytes become.
    func bound(_ count: Int) -> Int

    /// - Parameter output: has room for `bound`.
    /// - Returns: how many bytes it wrote; nil when the library refused.
    func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int?

    /// - Returns: false unless `input` is whole and becomes exactly `output.count` bytes.
    func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool
}
