import Synchronization

/// The codecs of one algorithm that nobody is using. As many are made as threads compress at the same moment, however
/// many producers and partitions there are: one Zstandard context alone is more than a megabyte.
final class CodecPool: Sendable {
    /// A codec and the memory that it writes into.
    final class Worker: @unchecked Sendable {
        /// A larger scratch is given back at once.
        static let maximumKeptScratch = 1 << 20
        let codec: any Codec
        private var scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)

        init(_ codec: any Codec) { self.codec = codec }
        deinit { scratch.deallocate() }

        /// `count` bytes of which nothing is known.
        func scratch(_ count: Int) -> UnsafeMutableRawBufferPointer {
            if scratch.count < count {
                scratch.deallocate()
                scratch = .allocate(byteCount: count, alignment: 16)
            }
            return UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
        }

        func rest() {
            guard scratch.count > Self.maximumKeptScratch else { return }
            scratch.deallocate()
            scratch = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
    }

    /// More than this wait for nobody.
    private static let maximumIdle = 16
    private let make: @Sendable () -> any Codec
    private let idle = Mutex<[Worker]>([])

    init(_ make: @escaping @Sendable () -> any Codec) { self.make = make }

    func withWorker<Result>(_ body: (Worker) -> Result) -> Result {
        let worker = idle.withLock { $0.popLast() } ?? Worker(make())
        defer {
            worker.rest()
            idle.withLock { if $0.count < Self.maximumIdle { $0.append(worker) } }
        }
        return body(worker)
    }
}
