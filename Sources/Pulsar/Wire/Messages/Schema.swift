/// What the payloads of a producer are; absent for plain bytes.
package struct Schema: ProtobufMessage {
    package var name: String
    package var schemaData: [UInt8]
    package var type: SchemaType
    package var properties: [Property]

    package init(name: String, schemaData: [UInt8], type: SchemaType, properties: [Property] = []) {
        self.name = name
        self.schemaData = schemaData
        self.type = type
        self.properties = properties
    }

    package init(from reader: inout ProtobufReader) throws(WireError) {
        var name: String?
        var schemaData: [UInt8]?
        var type: SchemaType?
        var properties: [Property] = []
        while let field = try reader.next() {
            switch field.number {
            case 1: name = field.string
            case 3: schemaData = field.bytes
            case 4: type = field.value()
            case 5: if let value: Property = try field.message() { properties.append(value) }
            default: break
            }
        }
        self.init(
            name: try required(name, "Schema.name"), schemaData: try required(schemaData, "Schema.schema_data"),
            type: try required(type, "Schema.type"), properties: properties)
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, name)
        sink.field(3, schemaData)
        sink.field(4, type)
        sink.fields(5, properties)
    }
}
