package import Logging

/// Writes each frame of a connection into a log, one line at level debug.
///
/// Payloads appear as a number of bytes: they hold the messages, and the tokens put on `$cbs` and `$management`. SASL
/// answers hold passwords and appear as a number of bytes too. What looks like a signature or a token in any other text
/// (a peer may quote one) is hidden.
package final class FrameLog: Sendable {
    package enum Direction: String, Sendable {
        case sent = "->"
        case received = "<-"
    }

    private let logger: Logger

    package init(_ logger: Logger) { self.logger = logger }

    func frame(_ direction: Direction, channel: UInt16, _ performative: Performative, payload: Int) {
        guard logger.logLevel <= .debug else { return }
        var text = FrameText(performative).line
        if case .transfer = performative { text += " + \(payload) bytes" }
        logger.debug("\(direction.rawValue) [\(channel)] \(text)")
    }

    func emptyFrame(_ direction: Direction) { logger.debug("\(direction.rawValue) empty") }

    func header(_ direction: Direction, _ header: ProtocolHeader) { logger.debug("\(direction.rawValue) \(header)") }

    func sasl(_ direction: Direction, _ frame: SASLFrame) {
        guard logger.logLevel <= .debug else { return }
        logger.debug("\(direction.rawValue) \(FrameText.hidden(frame.description))")
    }
}
