/// A command of the protocol: those that a producer, a plain consumer and their broker say to each other.
package enum Command: Equatable, Sendable {
    case connect(ConnectCommand)
    case connected(ConnectedCommand)
    case subscribe(SubscribeCommand)
    case producer(ProducerCommand)
    case send(SendCommand)
    case sendReceipt(SendReceiptCommand)
    case sendError(SendErrorCommand)
    case message(MessageCommand)
    case ack(AckCommand)
    case flow(FlowCommand)
    case unsubscribe(UnsubscribeCommand)
    case success(SuccessCommand)
    case error(ErrorCommand)
    case closeProducer(CloseProducerCommand)
    case closeConsumer(CloseConsumerCommand)
    case producerSuccess(ProducerSuccessCommand)
    case ping
    case pong
    case redeliver(RedeliverCommand)
    case partitionedMetadata(PartitionedMetadataCommand)
    case partitionedMetadataResponse(PartitionedMetadataResponseCommand)
    case lookup(LookupCommand)
    case lookupResponse(LookupResponseCommand)
    case getLastMessageID(GetLastMessageIDCommand)
    case getLastMessageIDResponse(GetLastMessageIDResponseCommand)
    case authChallenge(AuthChallengeCommand)
    case authResponse(AuthResponseCommand)
    case ackResponse(AckResponseCommand)
    case topicMigrated(TopicMigratedCommand)
    /// One that is none of the above: to be passed over.
    case unknown(type: UInt64)

    /// Its number, which is also that of the field that it is in.
    package var type: UInt64 {
        switch self {
        case .connect: 2
        case .connected: 3
        case .subscribe: 4
        case .producer: 5
        case .send: 6
        case .sendReceipt: 7
        case .sendError: 8
        case .message: 9
        case .ack: 10
        case .flow: 11
        case .unsubscribe: 12
        case .success: 13
        case .error: 14
        case .closeProducer: 15
        case .closeConsumer: 16
        case .producerSuccess: 17
        case .ping: 18
        case .pong: 19
        case .redeliver: 20
        case .partitionedMetadata: 21
        case .partitionedMetadataResponse: 22
        case .lookup: 23
        case .lookupResponse: 24
        case .getLastMessageID: 29
        case .getLastMessageIDResponse: 30
        case .authChallenge: 36
        case .authResponse: 37
        case .ackResponse: 38
        case .topicMigrated: 68
        case .unknown(let type): type
        }
    }
}
