/// Snappy's raw format: the length, then the blocks.
final class SnappyCodec: Codec, Sendable {
    struct Library: Sendable {
        let bound: @convention(c) (Int) -> Int
        /// The last argument holds the room at first, and what was written in the end.
        let compress:
            @convention(c) (UnsafeRawPointer?, Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>) -> CInt
        let decompress:
            @convention(c) (UnsafeRawPointer?, Int, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>) -> CInt
        let decompressedLength: @convention(c) (UnsafeRawPointer?, Int, UnsafeMutablePointer<Int>) -> CInt

        init(_ name: String = "libsnappy.so.1") throws(PulsarError) {
            let library = try SharedLibrary(name, package: "libsnappy1v5")
            bound = try library.function("snappy_max_compressed_length")
            compress = try library.function("snappy_compress")
            decompress = try library.function("snappy_uncompress")
            decompressedLength = try library.function("snappy_uncompressed_length")
        }
    }

    private let library: Library

    init(_ library: Library) { self.library = library }

    func bound(_ count: Int) -> Int { library.bound(count) }

    func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        var written = output.count
        return library.compress(input.baseAddress, input.count, output.baseAddress, &written) == 0 ? written : nil
    }

    func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        var length = 0
        guard library.decompressedLength(input.baseAddress, input.count, &length) == 0, length == output.count else {
            return false
        }
        return library.decompress(input.baseAddress, input.count, output.baseAddress, &length) == 0
            && length == output.count
    }
}
