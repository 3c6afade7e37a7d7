internal import NIOCore

/// The client's side of a SASL dialogue, from the server's mechanisms to its outcome.
package struct SASLClientStateMachine: Sendable {
    package enum Action: Hashable, Sendable {
        case send(SASLFrame)
        case succeeded
        case failed(SASLError)
    }

    private enum State { case waitingForMechanisms, waitingForOutcome, done }

    private var state = State.waitingForMechanisms
    private let credential: SASLCredential
    private let hostname: String?

    /// `hostname`: the host that the client believes it talks to.
    package init(_ credential: SASLCredential, hostname: String?) {
        self.credential = credential
        self.hostname = hostname
    }

    package mutating func received(_ frame: SASLFrame) -> Action {
        switch (state, frame) {
        case (.waitingForMechanisms, .mechanisms(let offered)):
            guard offered.contains(credential.mechanism) else {
                let names = offered.isEmpty ? "none" : offered.joined(separator: ", ")
                return fail("the server offers the SASL mechanisms \(names), not \(credential.mechanism)")
            }
            state = .waitingForOutcome
            return .send(
                .initial(mechanism: credential.mechanism, response: credential.initialResponse, hostname: hostname))
        case (.waitingForOutcome, .outcome(.ok, _)):
            state = .done
            return .succeeded
        case (.waitingForOutcome, .outcome(let code, _)):
            return fail("the server refused \(credential): \(code)", code: code)
        case (.waitingForOutcome, .challenge):
            // None of our mechanisms asks anything; an empty answer lets the server decide.
            return .send(.response(ByteBuffer()))
        default:
            return fail("the server sent \(frame) out of turn")
        }
    }

    private mutating func fail(_ message: String, code: SASLCode? = nil) -> Action {
        state = .done
        return .failed(SASLError(message, code: code))
    }
}
