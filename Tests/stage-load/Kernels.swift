import EventHubs
import LoadSupport
import TailraceSpool

/// What touches every byte or every key.
enum Kernels {
    static func run(_ rounds: Int) {
        var checksums: [Double] = []
        var hashes: [Double] = []
        for _ in 0..<rounds {
            checksums.append(checksumRate())
            hashes.append(hashRate())
        }
        report("CRC32C of 64-KiB blocks", "GB/s", checksums, decimals: 1)
        report("partition of a key of 16 characters", "M/s", hashes, decimals: 1)
    }

    private static func checksumRate() -> Double {
        let block = [UInt8](repeating: 0x61, count: 64 << 10)
        let count = 20_000
        var sum: UInt32 = 0
        let begin = ProcessorTime.seconds()
        block.withUnsafeBytes { for _ in 0..<count { sum = checksum(of: $0, seed: sum) } }
        let time = ProcessorTime.seconds() - begin
        precondition(sum != 1)
        return Double(count * block.count) / time / 1e9
    }

    private static func hashRate() -> Double {
        let count = 2_000_000
        let keys = (0..<64).map { "host-\(1_000_000_000 + $0)x" }
        var sum = 0
        let begin = ProcessorTime.seconds()
        for index in 0..<count { sum &+= PartitionKeyHash.service.index(of: keys[index & 63], partitionCount: 32) }
        let time = ProcessorTime.seconds() - begin
        precondition(sum > 0)
        return Double(count) / time / 1e6
    }
}
