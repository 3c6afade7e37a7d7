/// BaseCommand of the protocol's file: the type, and the command in the field of the same number.
extension Command: ProtobufMessage {
    package init(from reader: inout ProtobufReader) throws(WireError) {
        // The type may stand behind the command, and then says only afterwards which of the fields counts.
        var first = reader
        var type: UInt64?
        while type == nil, let field = try first.next() {
            if field.number == 1 { type = field.uint64 }
        }
        let known = try required(type, "BaseCommand.type")
        var body: ProtobufField?
        while let field = try reader.next() {
            if UInt64(field.number) == known { body = field }
        }
        self = try Self.command(known, in: body)
    }

    private static func command(_ type: UInt64, in field: ProtobufField?) throws(WireError) -> Command {
        switch type {
        case 2: .connect(try body(of: field, type))
        case 3: .connected(try body(of: field, type))
        case 4: .subscribe(try body(of: field, type))
        case 5: .producer(try body(of: field, type))
        case 6: .send(try body(of: field, type))
        case 7: .sendReceipt(try body(of: field, type))
        case 8: .sendError(try body(of: field, type))
        case 9: .message(try body(of: field, type))
        case 10: .ack(try body(of: field, type))
        case 11: .flow(try body(of: field, type))
        case 12: .unsubscribe(try body(of: field, type))
        case 13: .success(try body(of: field, type))
        case 14: .error(try body(of: field, type))
        case 15: .closeProducer(try body(of: field, type))
        case 16: .closeConsumer(try body(of: field, type))
        case 17: .producerSuccess(try body(of: field, type))
        case 18: .ping
        case 19: .pong
        case 20: .redeliver(try body(of: field, type))
        case 21: .partitionedMetadata(try body(of: field, type))
        case 22: .partitionedMetadataResponse(try body(of: field, type))
        case 23: .lookup(try body(of: field, type))
        case 24: .lookupResponse(try body(of: field, type))
        case 29: .getLastMessageID(try body(of: field, type))
        case 30: .getLastMessageIDResponse(try body(of: field, type))
        case 36: .authChallenge(try body(of: field, type))
        case 37: .authResponse(try body(of: field, type))
        case 38: .ackResponse(try body(of: field, type))
        case 68: .topicMigrated(try body(of: field, type))
        default: .unknown(type: type)
        }
    }

    private static func body<Body: ProtobufMessage>(of field: ProtobufField?, _ type: UInt64) throws(WireError) -> Body
    {
        guard let body: Body = try field?.message() else {
            throw WireError(.missingField, "a command of type \(type) without its field")
        }
        return body
    }

    package func encode<Sink: ProtobufSink>(to sink: inout Sink) {
        sink.field(1, type)
        switch self {
        case .connect(let command): sink.field(2, command)
        case .connected(let command): sink.field(3, command)
        case .subscribe(let command): sink.field(4, command)
        case .producer(let command): sink.field(5, command)
        case .send(let command): sink.field(6, command)
        case .sendReceipt(let command): sink.field(7, command)
        case .sendError(let command): sink.field(8, command)
        case .message(let command): sink.field(9, command)
        case .ack(let command): sink.field(10, command)
        case .flow(let command): sink.field(11, command)
        case .unsubscribe(let command): sink.field(12, command)
        case .success(let command): sink.field(13, command)
        case .error(let command): sink.field(14, command)
        case .closeProducer(let command): sink.field(15, command)
        case .closeConsumer(let command): sink.field(16, command)
        case .producerSuccess(let command): sink.field(17, command)
        case .ping: sink.head(18, length: 0)
        case .pong: sink.head(19, length: 0)
        case .redeliver(let command): sink.field(20, command)
        case .partitionedMetadata(let command): sink.field(21, command)
        case .partitionedMetadataResponse(let command): sink.field(22, command)
        case .lookup(let command): sink.field(23, command)
        case .lookupResponse(let command): sink.field(24, command)
        case .getLastMessageID(let command): sink.field(29, command)
        case .getLastMessageIDResponse(let command): sink.field(30, command)
        case .authChallenge(let command): sink.field(36, command)
        case .authResponse(let command): sink.field(37, command)
        case .ackResponse(let command): sink.field(38, command)
        case .topicMigrated(let command): sink.field(68, command)
        case .unknown: break
        }
    }
}
