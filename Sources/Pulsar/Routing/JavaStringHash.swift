/// h = 31 h + unit with 32 bits, from 0.
enum JavaStringHash {
    static func hash(_ units: some Sequence<UInt16>) -> UInt32 {
        units.reduce(0) { $0 &* 31 &+ UInt32($1) }
    }

    static func hash(utf8 key: UnsafeRawBufferPointer) -> UInt32 {
        var hash: UInt32 = 0
        _ = transcode(key.makeIterator(), from: UTF8.self, to: UTF16.self, stoppingOnError: false) {
            hash = hash &* 31 &+ UInt32($0)
        }
        return hash
    }
}
