/// One Zstandard frame for each payload.
final class ZstdCodec: Codec, @unchecked Sendable {
    /// What the C++ client takes, and zstd's own default.
    private static let level: CInt = 3

    struct Library: Sendable {
        typealias Context = UnsafeMutableRawPointer
        let bound: @convention(c) (Int) -> Int
        let isError: @convention(c) (Int) -> CUnsignedInt
        let makeCompressor: @convention(c) () -> Context?
        let freeCompressor: @convention(c) (Context?) -> Int
        let makeDecompressor: @convention(c) () -> Context?
        let freeDecompressor: @convention(c) (Context?) -> Int
        let compress: @convention(c) (Context, UnsafeMutableRawPointer?, Int, UnsafeRawPointer?, Int, CInt) -> Int
        let decompress: @convention(c) (Context, UnsafeMutableRawPointer?, Int, UnsafeRawPointer?, Int) -> Int

        init(_ name: String = "libzstd.so.1") throws(PulsarError) {
            let library = try SharedLibrary(name, package: "libzstd1")
            bound = try library.function("ZSTD_compressBound")
            isError = try library.function("ZSTD_isError")
            makeCompressor = try library.function("ZSTD_createCCtx")
            freeCompressor = try library.function("ZSTD_freeCCtx")
            makeDecompressor = try library.function("ZSTD_createDCtx")
            freeDecompressor = try library.function("ZSTD_freeDCtx")
            compress = try library.function("ZSTD_compressCCtx")
            decompress = try library.function("ZSTD_decompressDCtx")
        }
    }

    private let library: Library
    private let compressor: Library.Context
    /// Made when it is first needed: a producer never does.
    private lazy var decompressor = library.makeDecompressor()

    init(_ library: Library) {
        self.library = library
        guard let compressor = library.makeCompressor() else { fatalError("out of memory") }
        self.compressor = compressor
    }

    deinit {
        _ = library.freeCompressor(compressor)
        _ = library.freeDecompressor(decompressor)
    }

    func bound(_ count: Int) -> Int { library.bound(count) }

    func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        let written = library.compress(
            compressor, output.baseAddress, output.count, input.baseAddress, input.count, Self.level)
        return library.isError(written) == 0 ? written : nil
    }

    func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        guard let decompressor, !input.isEmpty else { return false }
        let written = library.decompress(
            decompressor, output.baseAddress, output.count, input.baseAddress, input.count)
        return library.isError(written) == 0 && written == output.count
    }
}
