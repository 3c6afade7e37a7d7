// # The ledger's format, version 1
//
// One file per output, of three slots of 64 KiB. Each update is written whole to one slot; the slot with the highest
// revision whose checksum holds is the ledger. Little-endian.
//
//     offset  size
//          0     8   magic "TRLEDGER"
//          8     4   CRC32C from offset 12 up to the end of the body
//         12     4   bytes of body
//         16         body:
//          0     1     version, 1
//          1     7     zero
//          8     8     revision: rises with every write
//         16     8     floor: every id below is acknowledged
//         24     8     generation of the partition count
//         32     4     partitions
//         36     4     zero
//         40          per partition: [u64 next id wanted][i64 the service's number]
//
// Why three slots: an update must reach the page cache at once (kill -9) but is synced later (power cut). At any moment
// one slot is durable, one may be on its way to the disk, and the third takes updates; so neither a torn write nor a
// torn sync can touch the only good copy. The envelope (magic, checksum, length, version) stays in later versions.

/// What one output has had acknowledged.
package struct LedgerState: Equatable, Sendable {
    package struct Partition: Equatable, Sendable {
        /// The next id wanted: everything of this partition below is acknowledged.
        package var acknowledged: UInt64
        /// The number that the service gave to the last acknowledged record.
        package var serviceNumber: Int64

        package init(acknowledged: UInt64, serviceNumber: Int64) {
            self.acknowledged = acknowledged
            self.serviceNumber = serviceNumber
        }
    }

    /// Every id below is acknowledged, in all partitions.
    package var floor: UInt64
    /// Counts the changes of the partition count.
    package var generation: UInt64
    package var partitions: [Partition]

    package init(floor: UInt64, generation: UInt64 = 0, partitions: [Partition] = []) {
        self.floor = floor
        self.generation = generation
        self.partitions = partitions
    }

    /// One more than the highest id that is known to have been used.
    var highestSequence: UInt64 { partitions.reduce(floor) { max($0, $1.acknowledged) } }
}

enum LedgerFormat {
    static let magic: UInt64 = 0x5245_4744_454C_5254
    static let version: UInt8 = 1
    static let slotSize = 64 << 10
    static let slotCount = 3
    static let fileSize = slotSize * slotCount
    static let maximumPartitions = 4000

    static func encode(_ state: LedgerState, revision: UInt64) -> [UInt8] {
        precondition(state.partitions.count <= maximumPartitions)
        var bytes = [UInt8](repeating: 0, count: 56 + 16 * state.partitions.count)
        bytes.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            base.store(magic, at: 0)
            base.store(UInt32(bytes.count - 16), at: 12)
            base.store(version, at: 16)
            base.store(revision, at: 24)
            base.store(state.floor, at: 32)
            base.store(state.generation, at: 40)
            base.store(UInt32(state.partitions.count), at: 48)
            for (index, partition) in state.partitions.enumerated() {
                base.store(partition.acknowledged, at: 56 + 16 * index)
                base.store(partition.serviceNumber, at: 64 + 16 * index)
            }
            base.store(checksum(of: UnsafeRawBufferPointer(rebasing: bytes[12...])), at: 8)
        }
        return bytes
    }

    enum Slot: Equatable {
        case state(LedgerState, revision: UInt64)
        case newer(version: UInt8)
        /// Nothing was ever written here.
        case empty
        case damaged
    }

    static func decode(_ slot: UnsafeRawBufferPointer) -> Slot {
        guard slot.count >= 56, let base = slot.baseAddress else { return slot.isEmpty ? .empty : .damaged }
        let length = Int(base.load(at: 12, as: UInt32.self))
        guard base.load(at: 0, as: UInt64.self) == magic, length >= 40, length <= slot.count - 16,
            base.load(at: 8, as: UInt32.self)
                == checksum(of: UnsafeRawBufferPointer(rebasing: slot[12..<(16 + length)]))
        else { return slot.allSatisfy { $0 == 0 } ? .empty : .damaged }
        let version = base.load(at: 16, as: UInt8.self)
        guard version <= Self.version else { return .newer(version: version) }
        let count = Int(base.load(at: 48, as: UInt32.self))
        guard version == Self.version, count <= maximumPartitions, length == 40 + 16 * count else { return .damaged }
        var state = LedgerState(
            floor: base.load(at: 32, as: UInt64.self), generation: base.load(at: 40, as: UInt64.self))
        for index in 0..<count {
            state.partitions.append(
                .init(
                    acknowledged: base.load(at: 56 + 16 * index, as: UInt64.self),
                    serviceNumber: base.load(at: 64 + 16 * index, as: Int64.self)))
        }
        return .state(state, revision: base.load(at: 24, as: UInt64.self))
    }

    /// What a ledger file says.
    struct Contents: Equatable {
        var state: LedgerState?
        var revision: UInt64 = 0
        /// The slot that the state came from.
        var slot = 0
        var damagedSlots = 0
    }

    static func read(_ file: SpoolFile) throws(SpoolError) -> Contents {
        var contents = Contents()
        for index in 0..<slotCount {
            let bytes: [UInt8]
            do throws(SpoolFileError) {
                bytes = try file.read(slotSize, at: index * slotSize)
            } catch {
                throw .file(error)
            }
            switch bytes.withUnsafeBytes({ decode($0) }) {
            case .newer(let version): throw .newerVersion(path: file.path, version: version)
            case .damaged: contents.damagedSlots += 1
            case .empty: break
            case .state(let state, let revision):
                guard contents.state == nil || revision > contents.revision else { continue }
                contents.state = state
                contents.revision = revision
                contents.slot = index
            }
        }
        return contents
    }

    /// What the ledger `name` says; nil when it is damaged or empty.
    static func state(in directory: SpoolDirectory, _ name: String) throws(SpoolError) -> LedgerState? {
        let file: SpoolFile
        do throws(SpoolFileError) {
            file = try directory.open(name, .read)
        } catch {
            throw .file(error)
        }
        return try read(file).state
    }
}
