internal import EventHubs
internal import Logging
internal import NIOCore
internal import TailraceSpool
internal import Transports

/// From here to an event hub: the way, the token, the hub, the right to send, the partitions.
struct EventHubsCheck {
    private let settings: EventHubsOutputSettings
    private let ledger: LedgerState?
    private let findings: Findings
    private let eventLoop: any EventLoop
    private var subject: String { "output \(settings.name)" }

    init(
        _ settings: EventHubsOutputSettings, _ ledger: LedgerState?, _ findings: Findings, _ eventLoop: any EventLoop
    ) {
        self.settings = settings
        self.ledger = ledger
        self.findings = findings
        self.eventLoop = eventLoop
    }

    func run() {
        let endpoint: EventHubEndpoint
        do throws(EventHubsError) {
            endpoint = try settings.endpoint()
        } catch {
            return findings.error(subject, settings.eventHub, error.message)
        }
        guard WayCheck(subject: subject, findings: findings, eventLoop: eventLoop).run(endpoint.route) else { return }
        let client = EventHubProducerClient(
            endpoint, settings.connecting, eventLoop, Logger(label: "check") { _ in SwiftLogNoOpLogHandler() })
        defer { _ = try? NetworkStep.wait(for: client.end()) }
        let place = "\(endpoint.hub) at \(endpoint.route.place)"
        findings.begin("\(subject): token and hub")
        do {
            let properties = try NetworkStep.wait(for: client.askEventHubProperties())
            findings.ok("\(subject), token", place, "accepted")
            findings.begin("\(subject): right to send")
            let size = try attach(client)
            findings.ok("\(subject), hub", place, "there, and may be sent to, \(size) bytes at a time")
            PartitionCheck.run(
                subject, place, partitions: properties.partitionIDs.count, key: settings.key, ledger, findings)
        } catch let error as EventHubsError {
            tell(error.code == .unauthorized ? missing(client) ?? error : error, place)
        } catch {
            findings.error("\(subject), AMQP", place, "\(error)", remedy: "try again; look at the service's state")
        }
    }

    /// A link to the hub itself, by which nothing is sent: it has no number and no owner, and takes nothing from anybody.
    private func attach(_ client: EventHubProducerClient) throws -> Int {
        try NetworkStep.wait(for: client.askMaximumMessageSize(partitionID: nil))
    }

    /// Whoever asks about a hub that is not there may hear that there is no right to ask. Links are told the truth.
    private func missing(_ client: EventHubProducerClient) -> EventHubsError? {
        do {
            _ = try attach(client)
            return nil
        } catch {
            guard let error = error as? EventHubsError, error.code == .notFound else { return nil }
            return error
        }
    }

    private func tell(_ error: EventHubsError, _ place: String) {
        let step =
            switch error.code {
            case .unauthorized: "token"
            case .notFound, .entityUnavailable, .quotaExceeded: "hub"
            default: "AMQP"
            }
        findings.error("\(subject), \(step)", place, error.message)
    }
}
