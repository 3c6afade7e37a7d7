import NIOCore
import Testing

@testable import AMQP

@Suite struct SASLTests {
    /// Runs both machines against each other; `judge` plays the server's user data base.
    private func dialogue(
        _ credential: SASLCredential, offered: [String] = ["ANONYMOUS", "PLAIN", "EXTERNAL"],
        judge: (SASLIdentity) -> SASLCode
    ) throws -> SASLClientStateMachine.Action {
        var client = SASLClientStateMachine(credential, hostname: "host")
        var server = SASLServerStateMachine(mechanisms: offered)
        var action = server.start()
        while true {
            let toClient: SASLFrame
            switch action {
            case .send(let frame), .sendAndSucceed(let frame), .sendAndFail(let frame, _): toClient = frame
            case .authenticate(let identity):
                action = server.decide(judge(identity))
                continue
            }
            // Over the wire, as in life.
            var wire = ByteBuffer()
            FrameEncoder.write(toClient, into: &wire)
            var decoder = FrameDecoder()
            guard case .sasl(let received)? = try decoder.decode(buffer: &wire) else {
                Issue.record("no SASL frame")
                return .succeeded
            }
            switch client.received(received) {
            case .send(let frame): action = server.received(frame)
            case let end: return end
            }
        }
    }

    @Test func everyMechanismCarriesItsIdentity() throws {
        #expect(try dialogue(.anonymous) { $0 == .anonymous(trace: "") ? .ok : .authentication } == .succeeded)
        #expect(
            try dialogue(.plain(user: "u", password: "p")) {
                $0 == .plain(authorization: "", user: "u", password: "p") ? .ok : .authentication
            } == .succeeded)
        #expect(
            try dialogue(.external(authorization: "a")) { $0 == .external(authorization: "a") ? .ok : .authentication }
                == .succeeded)
    }

    @Test func aRefusalNamesTheUserAndNeverThePassword() throws {
        guard
            case .failed(let error) = try dialogue(
                .plain(user: "u", password: "secret"), judge: { _ in .authentication })
        else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .authentication)
        #expect(error.message.contains("PLAIN as u"))
        #expect(!"\(error)".contains("secret"))
        #expect(!"\(SASLCredential.plain(user: "u", password: "secret"))".contains("secret"))
        #expect(!"\(SASLIdentity.plain(authorization: "", user: "u", password: "secret"))".contains("secret"))
        let frame = SASLFrame.initial(mechanism: "PLAIN", response: ByteBuffer(string: "\0u\0secret"), hostname: nil)
        #expect(!"\(frame)".contains("secret"))
    }

    @Test func aMechanismThatIsNotOfferedFailsOnBothSides() throws {
        guard case .failed(let error) = try dialogue(.external(), offered: ["PLAIN"], judge: { _ in .ok }) else {
            Issue.record("not refused")
            return
        }
        #expect(error.message.contains("PLAIN") && error.message.contains("EXTERNAL"))
        var server = SASLServerStateMachine(mechanisms: ["PLAIN"])
        _ = server.start()
        guard
            case .sendAndFail(.outcome(.authentication, _), _) = server.received(
                .initial(mechanism: "SCRAM-SHA-1", response: nil, hostname: nil))
        else {
            Issue.record("accepted")
            return
        }
    }

    @Test func framesOutOfTurnFail() {
        var client = SASLClientStateMachine(.anonymous, hostname: nil)
        guard case .failed = client.received(.outcome(.ok, additionalData: nil)) else {
            Issue.record("an outcome before the mechanisms")
            return
        }
        var server = SASLServerStateMachine()
        _ = server.start()
        guard case .sendAndFail = server.received(.response(ByteBuffer())) else {
            Issue.record("a response before init")
            return
        }
        guard case .sendAndFail = server.received(.initial(mechanism: "ANONYMOUS", response: nil, hostname: nil)) else {
            Issue.record("an init after the end")
            return
        }
    }

    @Test func aMalformedPlainResponseIsRefused() {
        for response in ["", "u", "\0u", "\0u\0p\0x"] {
            #expect(throws: SASLError.self) {
                try SASLIdentity(mechanism: "PLAIN", response: ByteBuffer(string: response))
            }
        }
    }
}
