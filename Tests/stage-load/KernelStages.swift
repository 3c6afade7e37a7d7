import EventHubs
import TailraceSpool

/// The checksum of frames, over blocks of 64 KiB.
struct ChecksumStage: Stage {
    private static let blocks = 64

    static let kind = StageKind(
        name: "checksum", title: "CRC32C", records: blocks * (64 << 10) / Filling.record, bytes: blocks * 64 << 10
    ) { _ in ChecksumStage() }

    private let block = [UInt8](repeating: 0x61, count: 64 << 10)

    func pass() {
        var sum: UInt32 = 0
        block.withUnsafeBytes { for _ in 0..<Self.blocks { sum = checksum(of: $0, seed: sum) } }
        precondition(sum != 1)
    }
}

/// Which partition a key of 16 characters belongs to.
struct HashStage: Stage {
    private static let hashes = 50_000

    static let kind = StageKind(
        name: "hash", title: "partition of a key of 16 characters", records: hashes, bytes: 0
    ) { _ in HashStage() }

    private let keys = (0..<64).map { "host-\(1_000_000_000 + $0)x" }

    func pass() {
        var sum = 0
        for index in 0..<Self.hashes {
            sum &+= PartitionKeyHash.service.index(of: keys[index & 63], partitionCount: 32)
        }
        precondition(sum > 0)
    }
}
