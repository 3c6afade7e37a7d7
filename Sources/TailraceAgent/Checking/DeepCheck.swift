internal import Logging
internal import NIOCore
import NIOPosix
internal import TailraceSpool

/// What `tailrace check --deep` does: looks at all that an agent of this configuration will need, from here to the service,
/// and changes nothing. An agent may be running: its spool is read and not opened, and nothing is sent to the service that
/// could take something from it (no producer, no owner level, no message).
///
/// It waits for disks and networks, so not on an event loop; every step over a network has a deadline.
package struct DeepCheck {
    private let configuration: AgentConfiguration
    private let findings: Findings

    package init(_ configuration: AgentConfiguration, _ findings: Findings) {
        self.configuration = configuration
        self.findings = findings
    }

    package func run() {
        for file in [configuration.file] + configuration.dropIns { findings.ok("configuration", file, "valid") }
        for warning in configuration.warnings {
            let place = warning.line.map { "\(warning.file):\($0)" } ?? warning.file
            findings.warning("configuration", place, warning.message, remedy: warning.remedy)
        }
        let agent = RunningAgent(configuration.places.controlSocket)
        let state = StateCheck(configuration, agent, findings)
        let spool = state.run()
        for input in configuration.inputs {
            findings.begin("input \(input.name)")
            switch input.kind {
            case .file(let settings): FileInputCheck.run(input.name, settings, agent, findings)
            case .journal(let settings): JournalCheck.run(settings, findings)
            case .syslog(let settings): PortCheck(agent, findings).run(input.name, settings)
            }
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        if let metrics = configuration.metrics { PortCheck(agent, findings).run(metrics: metrics, group) }
        for output in configuration.outputs {
            let ledger = spool?.ledgers.first { $0.output == output.name }?.state
            switch output {
            case .eventHubs(let settings): EventHubsCheck(settings, ledger, findings, group.next()).run()
            case .pulsar(let settings): PulsarCheck(settings, ledger, findings, group.next()).run()
            }
        }
    }
}

enum NetworkStep {
    /// Each step, whatever it consists of.
    static let limit = TimeAmount.seconds(30)

    struct Late: Error, CustomStringConvertible {
        var description: String { "no answer within \(NetworkStep.limit.nanoseconds / 1_000_000_000) s" }
    }

    /// The result, or `Late`. What comes later is dropped.
    static func wait<Value: Sendable>(for future: EventLoopFuture<Value>) throws -> Value {
        let promise = future.eventLoop.makePromise(of: Value.self)
        let timer = future.eventLoop.scheduleTask(in: limit) { promise.fail(Late()) }
        future.whenComplete { result in
            timer.cancel()
            promise.completeWith(result)
        }
        return try promise.futureResult.wait()
    }
}
