internal import TailraceSpool

/// Writes a record's attributes straight into a batch's block, where room for them has been made sure of: the form is
/// that of `RecordAttributes`.
struct AttributeWriter {
    private(set) var at: UnsafeMutableRawPointer

    init(_ at: UnsafeMutableRawPointer) { self.at = at }

    mutating func add(_ key: StaticString, _ value: Int64) {
        addKey(key, type: 2, length: 8)
        at.storeBytes(of: value.littleEndian, as: Int64.self)
        at += 8
    }

    mutating func add(_ key: StaticString, _ value: UnsafeRawBufferPointer) {
        guard let base = value.baseAddress, value.count > 0 else { return }
        addKey(key, type: 1, length: UInt32(value.count))
        at.copyMemory(from: base, byteCount: value.count)
        at += value.count
    }

    mutating func add(_ key: StaticString, _ value: StaticString) {
        add(key, UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
    }

    private mutating func addKey(_ key: StaticString, type: UInt8, length: UInt32) {
        let count = key.utf8CodeUnitCount
        at.storeBytes(of: UInt8(count), as: UInt8.self)
        (at + 1).copyMemory(from: key.utf8Start, byteCount: count)
        (at + 1 + count).storeBytes(of: type, as: UInt8.self)
        (at + 2 + count).storeBytes(of: length.littleEndian, as: UInt32.self)
        at += 6 + count
    }
}
