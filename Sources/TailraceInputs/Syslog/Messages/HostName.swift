/// What may stand for a host: a name of letters, digits, `-`, `_` and `.`, or an address.
enum HostName {
    static let maximumLength = 255

    static func isLegal(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        guard !range.isEmpty, range.count <= maximumLength else { return false }
        var colons = 0
        var isHexadecimal = true
        for index in range {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."): break
            case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): break
            case UInt8(ascii: "g")...UInt8(ascii: "z"), UInt8(ascii: "G")...UInt8(ascii: "Z"), UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                isHexadecimal = false
            case .colon: colons += 1
            default: return false
            }
        }
        // An IPv6 address has two colons at least, and is nothing but hexadecimal.
        return colons == 0 || (colons >= 2 && colons <= 7 && isHexadecimal)
    }
}
