internal import NIOCore

/// The server's side of a SASL dialogue: it offers, the client chooses, the caller judges.
package struct SASLServerStateMachine: Sendable {
    package enum Action: Hashable, Sendable {
        case send(SASLFrame)
        /// Judge this identity, then call `decide`.
        case authenticate(SASLIdentity)
        /// Send the outcome, then go on with the AMQP header.
        case sendAndSucceed(SASLFrame)
        /// Send the outcome, then close.
        case sendAndFail(SASLFrame, SASLError)
    }

    private enum State { case idle, waitingForInit, judging, done }

    private var state = State.idle
    private let mechanisms: [String]

    package init(mechanisms: [String] = ["ANONYMOUS", "PLAIN", "EXTERNAL"]) { self.mechanisms = mechanisms }

    /// What a server says first.
    package mutating func start() -> Action {
        precondition(state == .idle, "a SASL dialogue starts once")
        state = .waitingForInit
        return .send(.mechanisms(mechanisms))
    }

    package mutating func received(_ frame: SASLFrame) -> Action {
        guard state == .waitingForInit, case .initial(let mechanism, let response, _) = frame else {
            return fail(.systemPermanent, "the client sent \(frame) out of turn")
        }
        guard mechanisms.contains(mechanism) else {
            return fail(.authentication, "the client chose the SASL mechanism \(mechanism), which was not offered")
        }
        do throws(SASLError) {
            let identity = try SASLIdentity(mechanism: mechanism, response: response ?? ByteBuffer())
            state = .judging
            return .authenticate(identity)
        } catch {
            return fail(.authentication, error.message)
        }
    }

    /// The verdict on the identity of `authenticate`.
    package mutating func decide(_ code: SASLCode) -> Action {
        precondition(state == .judging, "a verdict follows an identity")
        guard code == .ok else { return fail(code, "authentication was refused: \(code)") }
        state = .done
        return .sendAndSucceed(.outcome(.ok, additionalData: nil))
    }

    private mutating func fail(_ code: SASLCode, _ message: String) -> Action {
        state = .done
        return .sendAndFail(.outcome(code, additionalData: nil), SASLError(message, code: code))
    }
}
