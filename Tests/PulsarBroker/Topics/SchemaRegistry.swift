internal import Pulsar

/// The schemas of one topic, in the order in which producers brought them; forgotten when the broker ends. All of one type
/// fit one another, which real brokers look at more closely.
struct SchemaRegistry {
    private var schemas: [Schema] = []

    /// What messages of a producer with this schema bear; nil: it does not fit. Without a schema, nothing.
    mutating func version(of schema: Schema?) -> [UInt8]? {
        guard let schema else { return [] }
        if let first = schemas.first, first.type != schema.type { return nil }
        let known = schemas.firstIndex { $0.schemaData == schema.schemaData }
        if known == nil { schemas.append(schema) }
        // Eight bytes, the most significant one first, as real brokers count them.
        let number = UInt64(known ?? schemas.count - 1)
        return withUnsafeBytes(of: number.bigEndian, Array.init)
    }
}
