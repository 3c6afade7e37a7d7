/// LZ4's block format.
final class LZ4Codec: Codec, @unchecked Sendable {
    struct Library: Sendable {
        let bound: @convention(c) (CInt) -> CInt
        let stateSize: @convention(c) () -> CInt
        let compress:
            @convention(c) (
                UnsafeMutableRawPointer, UnsafeRawPointer?, UnsafeMutableRawPointer?, CInt, CInt, CInt
            ) -> CInt
        let decompress: @convention(c) (UnsafeRawPointer?, UnsafeMutableRawPointer?, CInt, CInt) -> CInt

        init(_ name: String = "liblz4.so.1") throws(PulsarError) {
            let library = try SharedLibrary(name, package: "liblz4-1")
            bound = try library.function("LZ4_compressBound")
            stateSize = try library.function("LZ4_sizeofState")
            compress = try library.function("LZ4_compress_fast_extState")
            decompress = try library.function("LZ4_decompress_safe")
        }
    }

    private let library: Library
    private let state: UnsafeMutableRawPointer

    init(_ library: Library) {
        self.library = library
        state = .allocate(byteCount: Int(library.stateSize()), alignment: 16)
    }

    deinit { state.deallocate() }

    func bound(_ count: Int) -> Int { Int(library.bound(CInt(count))) }

    func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        let written = library.compress(
            state, input.baseAddress, output.baseAddress, CInt(input.count), CInt(output.count), 1)
        return written > 0 ? Int(written) : nil
    }

    func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Bool {
        library.decompress(input.baseAddress, output.baseAddress, CInt(input.count), CInt(output.count))
            == CInt(output.count)
    }
}
