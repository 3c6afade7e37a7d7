/// A topic's name as the name of its file: everything but letters, digits, `-`, `.` and `_` as `%` and two digits.
enum TopicFileName {
    static let suffix = ".topic"

    static func name(of topic: String) -> String {
        var name = ""
        for byte in topic.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                name.unicodeScalars.append(Unicode.Scalar(byte))
            default: name += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return name + suffix
    }

    /// Nil: no file of a topic.
    static func topic(of name: String) -> String? {
        guard name.hasSuffix(suffix) else { return nil }
        var bytes: [UInt8] = []
        var rest = Array(name.utf8.dropLast(suffix.utf8.count))[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
