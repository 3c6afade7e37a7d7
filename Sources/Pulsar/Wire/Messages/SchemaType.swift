/// What kind of schema it is.
package struct SchemaType: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let none = SchemaType(rawValue: 0)
    package static let string = SchemaType(rawValue: 1)
    package static let json = SchemaType(rawValue: 2)
    package static let protobuf = SchemaType(rawValue: 3)
    package static let avro = SchemaType(rawValue: 4)
    package static let bool = SchemaType(rawValue: 5)
    package static let int8 = SchemaType(rawValue: 6)
    package static let int16 = SchemaType(rawValue: 7)
    package static let int32 = SchemaType(rawValue: 8)
    package static let int64 = SchemaType(rawValue: 9)
    package static let float = SchemaType(rawValue: 10)
    package static let double = SchemaType(rawValue: 11)
    package static let date = SchemaType(rawValue: 12)
    package static let time = SchemaType(rawValue: 13)
    package static let timestamp = SchemaType(rawValue: 14)
    package static let keyValue = SchemaType(rawValue: 15)
    package static let instant = SchemaType(rawValue: 16)
    package static let localDate = SchemaType(rawValue: 17)
    package static let localTime = SchemaType(rawValue: 18)
    package static let localDateTime = SchemaType(rawValue: 19)
    package static let protobufNative = SchemaType(rawValue: 20)
    package static let autoConsume = SchemaType(rawValue: 21)
}
