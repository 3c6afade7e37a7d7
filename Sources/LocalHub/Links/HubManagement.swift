internal import AMQP
internal import NIOCore
internal import TailraceSpool

/// Answers requests on `$cbs` and `$management`: messages in, messages out.
struct HubManagement {
    let hub: LocalHub

    struct Answer {
        var status: Int32
        var text: String
        var condition: String?
        var body: AMQPMessage.Body = .value(.null)
    }

    /// The response to `request`; its link is for the caller to find.
    static func response(to request: AMQPMessage, _ answer: Answer) -> AMQPMessage {
        var response = AMQPMessage(body: answer.body)
        var properties = AMQPMessage.Properties()
        properties.correlationID = request.properties?.messageID ?? .null
        if properties.correlationID == .null { properties.correlationID = request.properties?.correlationID ?? .null }
        response.properties = properties
        response.applicationProperties[string: "status-code"] = .int(answer.status)
        response.applicationProperties[string: "status-description"] = .string(answer.text)
        if let condition = answer.condition {
            response.applicationProperties[string: "error-condition"] = .symbol(condition)
        }
        return response
    }

    /// put-token: see the protocol page, section 3. No answer names an error condition: with one, the official Python
    /// client shows neither status nor description.
    static func putToken(_ request: AMQPMessage, _ authorization: inout HubAuthorization, now: Int64) -> Answer {
        let properties = request.applicationProperties
        guard properties[string: "operation"] == .string("put-token") else {
            return Answer(status: 400, text: "the operation on $cbs is put-token")
        }
        guard case .string(let audience)? = properties[string: "name"],
            case .string(let type)? = properties[string: "type"], case .value(.string(let token)) = request.body
        else {
            return Answer(status: 400, text: "put-token needs name, type and a token as the body")
        }
        let isIssued = type == "jwt" && authorization.takesIssuedTokens
        guard isIssued || type == "servicebus.windows.net:sastoken" || type == "amqp:sastoken" else {
            return Answer(
                status: 401, text: "this hub checks shared access signatures; it cannot check a token of type \(type)")
        }
        switch authorization.put(audience: audience, token: token, now: now) {
        case .accepted: return Answer(status: 202, text: "Accepted")
        case .malformed(let text): return Answer(status: 400, text: text)
        case .refused(let text): return Answer(status: 401, text: text)
        }
    }

    /// READ of the hub or of a partition: see the protocol page, section 5.
    func read(_ request: AMQPMessage, _ authorization: HubAuthorization, now: Int64) -> Answer {
        let properties = request.applicationProperties
        guard properties[string: "operation"] == .string("READ") else {
            return Answer(
                status: 400, text: "the operation on $management is READ", condition: AMQPCondition.notImplemented)
        }
        guard case .string(let name)? = properties[string: "name"],
            name.lowercased() == hub.configuration.hubName.lowercased()
        else {
            return Answer(
                status: 404, text: "the messaging entity could not be found", condition: AMQPCondition.notFound)
        }
        if case .string(let token)? = properties[string: "security_token"] {
            switch authorization.check(audience: "/\(hub.configuration.hubName)", token: token, now: now) {
            case .accepted: break
            case .malformed(let text), .refused(let text):
                return Answer(status: 401, text: text, condition: AMQPCondition.unauthorizedAccess)
            }
        }
        switch properties[string: "type"] {
        case .string("com.microsoft:eventhub"): return readHub()
        case .string("com.microsoft:partition"):
            let partition: Int? =
                switch properties[string: "partition"] {
                case .string(let text): Int(text)
                case .int(let number): Int(number)
                case .long(let number): Int(exactly: number)
                default: nil
                }
            guard let partition, hub.partitions.indices.contains(partition) else {
                return Answer(
                    status: 404, text: "the partition could not be found", condition: AMQPCondition.notFound)
            }
            return readPartition(partition)
        default:
            return Answer(
                status: 400, text: "the type is com.microsoft:eventhub or com.microsoft:partition",
                condition: AMQPCondition.invalidField)
        }
    }

    private func readHub() -> Answer {
        var map = AMQPMap()
        map[string: "name"] = .string(hub.configuration.hubName)
        map[string: "type"] = .string("com.microsoft:eventhub")
        map[string: "created_at"] = .timestamp(hub.createdAt)
        map[string: "partition_count"] = .int(Int32(hub.partitions.count))
        map[string: "partition_ids"] = .array(hub.partitions.map { .string(String($0.index)) })
        map[string: "georeplication_factor"] = .int(1)
        return Answer(status: 200, text: "OK", body: .value(.map(map)))
    }

    private func readPartition(_ index: Int) -> Answer {
        let properties = hub.partitions[index].properties
        var map = AMQPMap()
        map[string: "name"] = .string(hub.configuration.hubName)
        map[string: "type"] = .string("com.microsoft:partition")
        map[string: "partition"] = .string(String(index))
        map[string: "begin_sequence_number"] = .long(properties.beginning)
        map[string: "last_enqueued_sequence_number"] = .long(properties.last)
        let offset = properties.last < 0 ? -1 : EventOffset.of(UInt64(properties.last))
        map[string: "last_enqueued_offset"] = .string(String(offset))
        map[string: "last_enqueued_time_utc"] = .timestamp(
            properties.last < 0 ? Self.notSet : properties.lastTime)
        map[string: "is_partition_empty"] = .boolean(properties.isEmpty)
        map[string: "runtime_info_retrieval_time_utc"] = .timestamp(hub.now)
        return Answer(status: 200, text: "OK", body: .value(.map(map)))
    }

    /// The first moment of the year 1: what the service sends for "never".
    private static let notSet: Int64 = -62_135_596_800_000
}
