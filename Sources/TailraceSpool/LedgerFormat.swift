// # The ledger's format, version 2
//
// One file per output, of three slots of 128 KiB. Each update is written whole to one slot; the slot with the highest
// revision whose checksum holds is the ledger. Little-endian.
//
//     offset  size
//          0     8   magic "TRLEDGER"
//          8     4   CRC32C from offset 12 up to the end of the body
//         12     4   bytes of body
//         16         body:
//          0     1     version, 2
//          1     1     what decides a record's partition: 1 its host, 2 its source, 0 not known
//          2     6     zero
//          8     8     revision: rises with every write
//         16     8     floor: every id below is acknowledged
//         24     8     generation of the routing
//         32     4     partitions
//         36     4     zero
//         40          per partition, 32 bytes:
//                        0   8   u64 next id wanted
//                        8   8   i64 the service's number of the last acknowledged record
//                       16   8   i64 producer group id
//                       24   2   i16 owner level
//                       26   1   1 when there is a producer: otherwise the two fields before are zero
//                       27   1   1 when the next field counts: otherwise that is zero
//                       28   4   u32 records that the service has beyond, as it said before the owner level was taken
//
// Why three slots: an update must reach the page cache at once (kill -9) but is synced later (power cut). At any moment
// one slot is durable, one may be on its way to the disk, and the third takes updates; so neither a torn write nor a
// torn sync can touch the only good copy. The envelope (magic, checksum, length, version) stays in later versions.
//
// ## Version 1
//
// Slots of 64 KiB; in the body, version 1 and seven zeros, and per partition 16 bytes: the next id wanted and the
// service's number. It is read, and replaced by a file of version 2 that was synced under another name before
// (`Ledger+Upgrade.swift`). The slots of both versions begin with their version, so that a file tells what it is even
// when parts of it are damaged.

enum LedgerFormat {
    static let magic: UInt64 = 0x5245_4744_454C_5254
    static let version: UInt8 = 2
    static let slotSize = 128 << 10
    static let slotCount = 3
    static let fileSize = slotSize * slotCount
    static let maximumPartitions = 4000

    /// Where the first partition begins, from the beginning of a slot.
    private static let headSize = 56
    /// What comes before the body.
    private static let envelopeSize = 16

    static func slotSize(version: UInt8) -> Int { version == 1 ? 64 << 10 : slotSize }

    private static func partitionSize(version: UInt8) -> Int { version == 1 ? 16 : 32 }

    static func encode(_ state: LedgerState, revision: UInt64) -> [UInt8] {
        precondition(state.partitions.count <= maximumPartitions)
        let size = partitionSize(version: version)
        var bytes = [UInt8](repeating: 0, count: headSize + size * state.partitions.count)
        bytes.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            base.store(magic, at: 0)
            base.store(UInt32(bytes.count - envelopeSize), at: 12)
            base.store(version, at: 16)
            base.store(state.keyKind.rawValue, at: 17)
            base.store(revision, at: 24)
            base.store(state.floor, at: 32)
            base.store(state.generation, at: 40)
            base.store(UInt32(state.partitions.count), at: 48)
            for (index, partition) in state.partitions.enumerated() {
                let at = headSize + size * index
                base.store(partition.acknowledged, at: at)
                base.store(partition.serviceNumber, at: at + 8)
                guard let producer = partition.producer else { continue }
                base.store(producer.groupID, at: at + 16)
                base.store(producer.ownerLevel, at: at + 24)
                base.store(1 as UInt8, at: at + 26)
                guard let found = partition.found else { continue }
                base.store(1 as UInt8, at: at + 27)
                base.store(found, at: at + 28)
            }
            base.store(checksum(of: UnsafeRawBufferPointer(rebasing: bytes[12...])), at: 8)
        }
        return bytes
    }

    enum Slot: Equatable {
        case state(LedgerState, revision: UInt64, version: UInt8)
        case newer(version: UInt8)
        /// Nothing was ever written here.
        case empty
        case damaged
    }

    static func decode(_ slot: UnsafeRawBufferPointer) -> Slot {
        guard slot.count >= headSize, let base = slot.baseAddress else { return slot.isEmpty ? .empty : .damaged }
        let length = Int(base.load(at: 12, as: UInt32.self))
        guard base.load(at: 0, as: UInt64.self) == magic, length >= headSize - envelopeSize,
            length <= slot.count - envelopeSize,
            base.load(at: 8, as: UInt32.self)
                == checksum(of: UnsafeRawBufferPointer(rebasing: slot[12..<(envelopeSize + length)]))
        else { return slot.isZero ? .empty : .damaged }
        let version = base.load(at: 16, as: UInt8.self)
        guard version <= Self.version else { return .newer(version: version) }
        let size = partitionSize(version: version)
        let count = Int(base.load(at: 48, as: UInt32.self))
        guard version >= 1, count <= maximumPartitions, length == headSize - envelopeSize + size * count else {
            return .damaged
        }
        var state = LedgerState(
            floor: base.load(at: 32, as: UInt64.self), generation: base.load(at: 40, as: UInt64.self))
        if version >= 2 { state.keyKind = .init(rawValue: base.load(at: 17, as: UInt8.self)) }
        state.partitions.reserveCapacity(count)
        for index in 0..<count {
            let at = headSize + size * index
            var partition = LedgerState.Partition(
                acknowledged: base.load(at: at, as: UInt64.self), serviceNumber: base.load(at: at + 8, as: Int64.self))
            if version >= 2, base.load(at: at + 26, as: UInt8.self) == 1 {
                partition.producer = .init(
                    groupID: base.load(at: at + 16, as: Int64.self), ownerLevel: base.load(at: at + 24, as: Int16.self))
                if base.load(at: at + 27, as: UInt8.self) == 1 {
                    partition.found = base.load(at: at + 28, as: UInt32.self)
                }
            }
            state.partitions.append(partition)
        }
        return .state(state, revision: base.load(at: 24, as: UInt64.self), version: version)
    }

    /// What a ledger file says.
    struct Contents: Equatable {
        var state: LedgerState?
        var revision: UInt64 = 0
        /// Of the file; the newest when nothing in it can be read.
        var version = LedgerFormat.version
        /// The slot that the state came from.
        var slot = 0
        var damagedSlots = 0
    }

    static func read(_ file: SpoolFile) throws(SpoolError) -> Contents {
        let newest = try read(file, version: version)
        // A file has slots of one version only. What one of version 1 has where version 2 looks is no slot of it, and
        // a file whose every slot is damaged counts as the newest.
        guard newest.state == nil else { return newest }
        let oldest = try read(file, version: 1)
        return oldest.state == nil ? newest : oldest
    }

    private static func read(_ file: SpoolFile, version: UInt8) throws(SpoolError) -> Contents {
        var contents = Contents()
        contents.version = version
        let size = slotSize(version: version)
        for index in 0..<slotCount {
            let bytes: [UInt8]
            do throws(SpoolFileError) {
                bytes = try file.read(size, at: index * size)
            } catch {
                throw .file(error)
            }
            switch bytes.withUnsafeBytes({ decode($0) }) {
            case .newer(let version): throw .newerVersion(path: file.path, version: version)
            case .damaged: contents.damagedSlots += 1
            case .empty: break
            case .state(let state, let revision, let found):
                guard found == version else { continue }
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
