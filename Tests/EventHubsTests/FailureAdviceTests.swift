import AMQP
import Testing

@testable import EventHubs

@Suite struct FailureAdviceTests {
    private typealias Recovery = FailureAdvice.Recovery

    /// Every row of the condition table: retriable, what to rebuild, least wait in seconds.
    private static let table: [(String, Bool, Recovery, Int)] = [
        ("amqp:internal-error", true, .connection, 0), ("amqp:not-found", false, .none, 0),
        ("amqp:unauthorized-access", false, .link, 0), ("amqp:decode-error", false, .link, 0),
        ("amqp:invalid-field", false, .link, 0), ("amqp:not-implemented", false, .link, 0),
        ("amqp:not-allowed", false, .link, 0), ("amqp:frame-size-too-small", false, .link, 0),
        ("amqp:precondition-failed", false, .link, 0), ("amqp:illegal-state", false, .link, 0),
        ("amqp:resource-limit-exceeded", false, .none, 0), ("amqp:resource-locked", false, .none, 0),
        ("amqp:resource-deleted", false, .none, 0), ("amqp:connection:forced", true, .connection, 0),
        ("amqp:connection:framing-error", true, .connection, 0), ("amqp:connection:redirect", false, .connection, 0),
        ("amqp:link:redirect", false, .connection, 0), ("amqp:session:window-violation", false, .session, 0),
        ("amqp:session:errant-link", false, .session, 0), ("amqp:session-errant-link", false, .session, 0),
        ("amqp:session:handle-in-use", false, .session, 0), ("amqp:session:unattached-handle", false, .session, 0),
        ("amqp:link:detach-forced", true, .link, 0), ("amqp:link:transfer-limit-exceeded", true, .link, 0),
        ("amqp:link:message-size-exceeded", false, .link, 0), ("amqp:link:stolen", false, .link, 0),
        ("com.microsoft:server-busy", true, .none, 4), ("com.microsoft:timeout", true, .none, 2),
        ("com.microsoft:operation-cancelled", true, .none, 0), ("com.microsoft:container-close", true, .connection, 4),
        ("com.microsoft:entity-disabled", false, .none, 0), ("com.microsoft:auth-failed", false, .link, 0),
        ("com.microsoft:argument-error", false, .link, 0), ("com.microsoft:argument-out-of-range", false, .link, 0),
        ("com.microsoft:precondition-failed", false, .link, 0), ("com.microsoft:publisher-revoked", false, .none, 0),
        ("com.microsoft:partition-not-owned", true, .link, 0), ("com.microsoft:producer-epoch-stolen", false, .link, 0),
        ("com.microsoft:out-of-order-sequence", false, .link, 0),
        ("com.microsoft:georeplication:invalid-offset", false, .none, 0), ("amqp:socket-error", true, .connection, 0),
        ("proton:io", true, .connection, 0), ("com.example:never-heard-of", true, .link, 1),
    ]

    @Test func everyConditionHasItsAdvice() {
        for (condition, retriable, recovery, seconds) in Self.table {
            let advice = FailureAdvice.advice(for: condition)
            #expect(advice.isRetriable == retriable, "\(condition)")
            #expect(advice.recovery == recovery, "\(condition)")
            #expect(advice.delay == .seconds(seconds), "\(condition)")
        }
    }

    @Test func onlyATimeoutLeavesTheOutcomeUnknown() {
        for (condition, _, _, _) in Self.table {
            #expect(
                FailureAdvice.advice(for: condition).isOutcomeUnknown == (condition == "com.microsoft:timeout"))
        }
    }

    @Test func onlyFaultsOfTheBatchBlameTheBatch() {
        #expect(FailureAdvice.advice(for: "amqp:link:message-size-exceeded").blamesBatch)
        #expect(FailureAdvice.advice(for: "com.microsoft:argument-error").blamesBatch)
        for condition in [
            "amqp:unauthorized-access", "amqp:not-found", "com.microsoft:entity-disabled",
            "amqp:resource-limit-exceeded",
        ] {
            #expect(!FailureAdvice.advice(for: condition).blamesBatch, "\(condition)")
        }
    }

    @Test func aMissingHubIsToldFromAPassingFault() {
        let missing = "The messaging entity 'sb://ns/hub' could not be found. Reference:1"
        #expect(!FailureAdvice.advice(for: "amqp:not-found", text: missing).isRetriable)
        #expect(!FailureAdvice.advice(for: "amqp:not-found", text: "status-code: 404").isRetriable)
        #expect(FailureAdvice.advice(for: "amqp:not-found", text: "partition is moving").isRetriable)
    }

    @Test func statusCodesStandForConditions() {
        let pairs = [
            400: "com.microsoft:argument-error", 401: "amqp:unauthorized-access", 403: "amqp:resource-limit-exceeded",
            404: "amqp:not-found", 408: "com.microsoft:timeout", 410: "amqp:link:stolen", 500: "amqp:internal-error",
            501: "amqp:not-implemented", 503: "com.microsoft:server-busy", 599: "amqp:internal-error",
        ]
        for (status, condition) in pairs { #expect(FailureAdvice.condition(forStatus: status) == condition) }
    }

    @Test func errorsTellCauseAndRemedy() {
        let error = EventHubsError(AMQPError("amqp:unauthorized-access", "bad signature"), "sending to hub")
        #expect(error.code == .unauthorized)
        #expect(error.condition == "amqp:unauthorized-access")
        #expect(error.message.contains("sending to hub") && error.message.contains("bad signature"))
        #expect(error.message.contains("Send claim"))
    }
}
