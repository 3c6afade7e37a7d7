/// `application/x-www-form-urlencoded`.
package enum FormEncoding {
    /// Fields of a form, in the order of their names.
    package static func form(_ fields: [String: String]) -> String {
        fields.sorted { $0.key < $1.key }.map { "\(text($0.key))=\(text($0.value))" }
            .joined(separator: "&")
    }

    /// Letters, digits and `-_.~` stay, a space becomes `+`, every other byte `%XX`.
    package static func text(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        encoded.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "~"):
                encoded.append(byte)
            case 0x20: encoded.append(UInt8(ascii: "+"))
            default:
                encoded.append(UInt8(ascii: "%"))
                encoded.append(digits[Int(byte >> 4)])
                encoded.append(digits[Int(byte & 15)])
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
