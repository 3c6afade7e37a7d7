internal import Logging
internal import NIOCore
internal import Pulsar
internal import TailraceSpool
internal import Transports

/// From here to a Pulsar topic: the way to each host, who the agent is, the topic, its broker, the partitions.
struct PulsarCheck {
    private let settings: PulsarOutputSettings
    private let ledger: LedgerState?
    private let findings: Findings
    private let eventLoop: any EventLoop
    private var subject: String { "output \(settings.name)" }

    init(_ settings: PulsarOutputSettings, _ ledger: LedgerState?, _ findings: Findings, _ eventLoop: any EventLoop) {
        self.settings = settings
        self.ledger = ledger
        self.findings = findings
        self.eventLoop = eventLoop
    }

    func run() {
        do {
            var options = settings.connecting
            // Told by itself what it is, before the step is cut off.
            options.operationTimeout = .seconds(15)
            let topic = try TopicName(settings.topic)
            let client = try PulsarClient(
                serviceURL: settings.serviceURL, authentication: settings.identity.authentication(), options: options,
                eventLoopGroup: eventLoop, logger: Logger(label: "check") { _ in SwiftLogNoOpLogHandler() })
            defer { _ = try? NetworkStep.wait(for: client.source.close()) }
            let way = WayCheck(subject: subject, findings: findings, eventLoop: eventLoop)
            // Not one after the other until one is there: each of them is there for a reason.
            let ways = client.serviceURL.hosts.map { host in
                way.run(client.source.pool.route(to: host, usesTLS: client.serviceURL.usesTLS))
            }
            if ways.contains(true) { try check(topic, client) }
        } catch let error as PulsarError {
            tell(error)
        } catch {
            findings.error(subject, settings.topic, "\(error)", remedy: "try again; look at the broker's state")
        }
    }

    private func check(_ topic: TopicName, _ client: PulsarClient) throws {
        findings.begin("\(subject): token and topic")
        let count = try NetworkStep.wait(for: client.source.partitions(of: topic))
        findings.ok("\(subject), token", "\(client.serviceURL)", "accepted (\(settings.identity.kind))")
        findings.begin("\(subject): the topic's broker")
        let connection = try NetworkStep.wait(
            for: client.source.connection(owning: count == 0 ? topic : topic.partition(0)))
        findings.ok("\(subject), topic", "\(topic)", "served by \(connection.address)")
        PartitionCheck.run(
            subject, "\(topic)", partitions: max(1, count), key: settings.key, ledger, findings)
    }

    private func tell(_ error: PulsarError) {
        let step =
            switch error.code {
            case .authenticationFailed, .authorizationFailed, .credentialsUnavailable: "token"
            case .topicNotFound, .topicTerminated, .invalidTopicName, .notAllowed: "topic"
            default: "broker"
            }
        findings.error("\(subject), \(step)", settings.topic, error.message)
    }
}

extension PulsarIdentity {
    /// For people, without anything secret.
    fileprivate var kind: String {
        switch self {
        case .nobody: "no authentication"
        case .tokenFile, .tokenVariable: "token"
        case .basic: "password"
        case .certificate: "certificate"
        case .oauth2: "OAuth 2.0"
        }
    }
}
