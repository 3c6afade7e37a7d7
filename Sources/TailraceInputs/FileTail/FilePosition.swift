internal import TailraceSpool

/// How far one generation of a file has been read, as it is stored with the records that it covers.
///
/// The source key names the generation and never changes: `[u8 version = 1][u64 device][u64 inode][i64 birth]
/// [u32 generation]`. The value is `[u8 version = 1][u8 flags: 1 = a copy][u64 offset][u16 head length][u64 head hash][u16 marker
/// length][u64 marker hash][u16 length][label][u16 length][path][i64 seen][i64 birth of the log][u8 number of marks][u8 exponent
/// of the last][u64 mark]...[u64 inode of the log]`, integers little-endian. Earlier versions end behind the marks, or behind the
/// path.
struct FilePosition: Equatable, Sendable {
    var identity: FileIdentity
    /// Counts up when the same file begins anew (it was truncated, or its content is not what it was).
    var generation: UInt32
    /// The first byte not yet covered by a record.
    var offset: UInt64
    /// The file's first bytes, up to `maximumHead` of those before `offset`.
    var head: ContentHash
    /// The bytes just before `offset`, up to `maximumMarker`.
    var marker: ContentHash
    /// The name under which the file was first seen: what its records carry as `source`.
    var label: String
    /// Where the file was when it was last looked at.
    var path: String
    /// A rotation made it by copying the log: younger than the log, but with older content.
    var isCopy = false
    /// Of a copy: the birth and the inode of the log; 0 = not known.
    var logBirth: Int64 = 0
    var logInode: UInt64 = 0
    /// Everything that the log had when it was last modified before this (nanoseconds since 1970) has been looked at.
    var seen = Int64.max
    var marks = ContentMarks()

    static let maximumHead = 256
    static let maximumMarker = 64
    /// Bytes of a path's text: what is no UTF-8 in it takes four.
    static let maximumPath = 16_384

    var key: SourceKey {
        var bytes: [UInt8] = [1]
        bytes.reserveCapacity(29)
        bytes.append(littleEndian: identity.device)
        bytes.append(littleEndian: identity.inode)
        bytes.append(littleEndian: identity.birth)
        bytes.append(littleEndian: generation)
        return SourceKey(bytes)
    }

    var value: [UInt8] {
        var bytes: [UInt8] = [1, isCopy ? 1 : 0]
        let label = Array(label.utf8.prefix(Self.maximumPath)), path = Array(path.utf8.prefix(Self.maximumPath))
        bytes.reserveCapacity(52 + 8 * ContentMarks.maximum + label.count + path.count)
        bytes.append(littleEndian: offset)
        bytes.append(littleEndian: head.length)
        bytes.append(littleEndian: head.value)
        bytes.append(littleEndian: marker.length)
        bytes.append(littleEndian: marker.value)
        bytes.append(littleEndian: UInt16(label.count))
        bytes.append(contentsOf: label)
        bytes.append(littleEndian: UInt16(path.count))
        bytes.append(contentsOf: path)
        bytes.append(littleEndian: seen)
        bytes.append(littleEndian: logBirth)
        bytes.append(UInt8(marks.hashes.count))
        bytes.append(marks.exponent)
        for mark in marks.hashes { bytes.append(littleEndian: mark) }
        bytes.append(littleEndian: logInode)
        return bytes
    }

    init(
        identity: FileIdentity, generation: UInt32, offset: UInt64, head: ContentHash, marker: ContentHash,
        label: String, path: String
    ) {
        self.identity = identity
        self.generation = generation
        self.offset = offset
        self.head = head
        self.marker = marker
        self.label = label
        self.path = path
    }

    /// Nil when the bytes are not those of a version that we know (another input's position, for one).
    init?(key: SourceKey, value: [UInt8]) {
        var name = ByteCursor(key.bytes)
        guard name.read(UInt8.self) == 1, let device = name.read(UInt64.self), let inode = name.read(UInt64.self),
            let birth = name.read(Int64.self), let generation = name.read(UInt32.self), name.isAtEnd
        else { return nil }
        var cursor = ByteCursor(value)
        guard cursor.read(UInt8.self) == 1, let flags = cursor.read(UInt8.self), let offset = cursor.read(UInt64.self),
            let headLength = cursor.read(UInt16.self), let head = cursor.read(UInt64.self),
            let markerLength = cursor.read(UInt16.self), let marker = cursor.read(UInt64.self),
            let label = cursor.readString(), let path = cursor.readString(),
            offset <= UInt64(Int64.max), Int(headLength) <= Self.maximumHead, UInt64(headLength) <= offset,
            Int(markerLength) <= Self.maximumMarker, UInt64(markerLength) <= offset
        else { return nil }
        self.init(
            identity: FileIdentity(device: device, inode: inode, birth: birth), generation: generation, offset: offset,
            head: ContentHash(length: headLength, value: head),
            marker: ContentHash(length: markerLength, value: marker), label: label, path: path)
        isCopy = flags & 1 != 0
        guard !cursor.isAtEnd else { return }
        guard let seen = cursor.read(Int64.self), let logBirth = cursor.read(Int64.self),
            let count = cursor.read(UInt8.self), let exponent = cursor.read(UInt8.self)
        else { return nil }
        var hashes: [UInt64] = []
        for _ in 0..<count {
            guard let mark = cursor.read(UInt64.self) else { return nil }
            hashes.append(mark)
        }
        guard let marks = ContentMarks(hashes: hashes, exponent: exponent, offset: offset) else { return nil }
        if !cursor.isAtEnd {
            guard let logInode = cursor.read(UInt64.self) else { return nil }
            self.logInode = logInode
        }
        self.seen = seen
        self.logBirth = logBirth
        self.marks = marks
    }
}

extension [UInt8] {
    fileprivate mutating func append(littleEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

/// Reads integers and strings from bytes that may end anywhere.
private struct ByteCursor {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { index == bytes.count }

    mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) -> T? {
        guard bytes.count - index >= MemoryLayout<T>.size else { return nil }
        defer { index += MemoryLayout<T>.size }
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: index, as: T.self)) }
    }

    mutating func readString() -> String? {
        guard let length = read(UInt16.self), bytes.count - index >= Int(length) else { return nil }
        defer { index += Int(length) }
        return String(decoding: bytes[index..<(index + Int(length))], as: UTF8.self)
    }
}
