import NIOCore
import TestSupport
import Testing

@testable import Pulsar

@Suite struct ConnectionMachineTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private static let credentials = AuthData(authMethodName: "token", authData: Array("c4nary-token".utf8))

    private func after(_ seconds: Int64) -> NIODeadline { Self.start + .seconds(seconds) }

    private func machine(_ change: (inout ConnectionMachine.Configuration) -> Void = { _ in }) -> ConnectionMachine {
        var configuration = ConnectionMachine.Configuration(place: "broker:6650")
        change(&configuration)
        return ConnectionMachine(configuration, now: Self.start)
    }

    private func opened(
        _ connected: ConnectedCommand = ConnectedCommand(serverVersion: "Pulsar 4.0", protocolVersion: 21),
        _ change: (inout ConnectionMachine.Configuration) -> Void = { _ in }
    ) -> ConnectionMachine {
        var machine = machine(change)
        _ = machine.connected(Self.credentials)
        #expect(machine.received(.connected(connected), now: Self.start) == .opened)
        return machine
    }

    private func closing(_ action: ConnectionMachine.Action) -> PulsarError? {
        if case .close(let error, _) = action { error } else { nil }
    }

    private let lookup = Command.lookup(LookupCommand(topic: "t", requestID: 0))
    private let partitions = Command.partitionedMetadata(PartitionedMetadataCommand(topic: "t", requestID: 0))
    private func producer(_ id: UInt64) -> Command {
        .producer(ProducerCommand(topic: "t", producerID: id, requestID: 0))
    }
    private func closeProducer(_ id: UInt64) -> Command {
        .closeProducer(CloseProducerCommand(producerID: id, requestID: 0))
    }

    // MARK: The handshake

    @Test func theFirstCommandSaysWhoWeAreAndWhatWeCan() {
        var machine = machine { $0.proxyToBroker = "inner:6650" }
        guard case .send(.connect(let connect)) = machine.connected(Self.credentials) else {
            Issue.record("no CONNECT")
            return
        }
        #expect(connect.authMethodName == "token" && connect.authData == Self.credentials.authData)
        // 20 is the version with TOPIC_MIGRATED.
        #expect(connect.protocolVersion == 20 && connect.clientVersion == "tailrace/1")
        #expect(connect.proxyToBrokerURL == "inner:6650")
        #expect(connect.featureFlags == FeatureFlags(supportsAuthRefresh: true))
        #expect(!machine.isOpen)
        #expect(machine.received(.connected(ConnectedCommand(serverVersion: "x")), now: Self.start) == .opened)
        #expect(machine.isOpen)
    }

    @Test func theBrokersLimitsHoldForThisConnectionAlone() {
        let large = opened(ConnectedCommand(serverVersion: "x", protocolVersion: 19, maxMessageSize: 10_000_000))
        #expect(large.maximumMessageSize == 10_000_000 && large.protocolVersion == 19)
        let silent = opened(ConnectedCommand(serverVersion: "x", protocolVersion: 21))
        #expect(silent.maximumMessageSize == 5_242_880 && silent.protocolVersion == 20)
        for odd in [0, -1, Int32.min] {
            #expect(opened(ConnectedCommand(serverVersion: "x", maxMessageSize: odd)).maximumMessageSize == 5_242_880)
        }
    }

    @Test(arguments: [
        (ServerError.authenticationError, PulsarError.Code.authenticationFailed),
        (.authorizationError, .authorizationFailed), (.unsupportedVersionError, .unsupportedVersion),
        (.tooManyRequests, .tooManyLookups), (.serviceNotReady, .serviceNotReady), (.unknownError, .unknown),
        (ServerError(rawValue: 4711), .unknown),
    ])
    func aRefusalDuringTheHandshakeIsToldAtOnce(error: ServerError, code: PulsarError.Code) {
        var machine = machine()
        _ = machine.connected(Self.credentials)
        let action = machine.received(
            .error(ErrorCommand(requestID: .max, error: error, message: "no: c4nary-token\n!")), now: Self.start)
        let refusal = closing(action)
        #expect(refusal?.code == code)
        #expect(refusal?.message.contains("connecting to broker:6650") == true)
        // Not even when the broker repeats them.
        #expect(refusal?.message.contains("c4nary") == false && refusal?.message.contains("\n") == false)
        #expect(machine.isClosed && machine.nextDeadline == nil)
    }

    @Test func oneTimeoutCoversConnectingAndTheBrokersAnswer() {
        var connecting = machine { $0.connectionTimeout = .seconds(10) }
        #expect(connecting.nextDeadline == after(10))
        #expect(connecting.timePassed(after(9)) == [])
        let first = connecting.timePassed(after(10)).first.flatMap(closing)
        #expect(first?.code == .connectFailed && first?.message == "no connection to broker:6650 within 10 s")
        var greeting = machine()
        _ = greeting.connected(Self.credentials)
        #expect(greeting.nextDeadline == after(10))
        let second = greeting.timePassed(after(11)).first.flatMap(closing)
        #expect(second?.message.contains("has not answered CONNECT within 10 s") == true)
        // What is late changes nothing.
        #expect(greeting.received(.connected(ConnectedCommand(serverVersion: "x")), now: after(12)) == .nothing)
        #expect(connecting.connected(Self.credentials) == .nothing)
    }

    @Test func aPeerThatClosesOrSpeaksOtherwiseIsNamed() {
        var closed = machine()
        _ = closed.connected(Self.credentials)
        let first = closing(closed.transportEnded(nil))
        #expect(first?.code == .connectFailed && first?.message.contains("during the handshake") == true)
        var early = machine()
        _ = early.connected(Self.credentials)
        let success = Command.success(SuccessCommand(requestID: 0))
        #expect(closing(early.received(success, now: Self.start))?.code == .protocolViolation)
        var http = machine()
        _ = http.connected(Self.credentials)
        let third = closing(http.malformed(WireError(.limitExceeded, "a frame of 1213486160 bytes")))
        #expect(third?.code == .protocolViolation && third?.message.contains("1213486160") == true)
        #expect(third?.message.contains("with TLS or without") == true)
        var open = opened()
        let fourth = closing(open.malformed(WireError(.truncated, "broken")))
        #expect(fourth?.message.contains("with TLS") == false)
        #expect(closing(open.transportEnded(nil)) == nil)
    }

    @Test func pingsUnknownCommandsAndChallengesDoNotEndAHandshake() {
        var machine = machine()
        _ = machine.connected(Self.credentials)
        #expect(machine.received(.ping, now: Self.start) == .send(.pong))
        #expect(machine.received(.unknown(type: 99), now: Self.start) != .nothing)
        #expect(machine.received(.authChallenge(AuthChallengeCommand()), now: Self.start) == .fetchCredentials)
        guard case .send(.authResponse) = machine.fetched(.success(Self.credentials)) else {
            Issue.record("no AUTH_RESPONSE")
            return
        }
        #expect(machine.received(.connected(ConnectedCommand(serverVersion: "x")), now: Self.start) == .opened)
    }

    // MARK: Questions

    @Test func answersBelongToAQuestionByTypeAndNumber() throws {
        var machine = opened()
        let first = try machine.ask(lookup, deadline: after(30), now: Self.start)
        let second = try machine.ask(partitions, deadline: after(30), now: Self.start)
        #expect(first.id != second.id)
        let wrong: [Command] = [
            .partitionedMetadataResponse(PartitionedMetadataResponseCommand(partitions: 1, requestID: first.id)),
            .lookupResponse(LookupResponseCommand(requestID: second.id)),
            .success(SuccessCommand(requestID: first.id)),
            .producerSuccess(ProducerSuccessCommand(requestID: second.id, producerName: "p")),
            .lookupResponse(LookupResponseCommand(requestID: 4711)),
            .error(ErrorCommand(requestID: 4711, error: .unknownError, message: "")),
        ]
        for command in wrong {
            guard case .note = machine.received(command, now: Self.start) else {
                Issue.record("\(command) was taken")
                continue
            }
        }
        let answer = Command.lookupResponse(LookupResponseCommand(requestID: first.id))
        #expect(machine.received(answer, now: Self.start) == .answer(request: first.id, .success(answer)))
        // Once.
        guard case .note = machine.received(answer, now: Self.start) else {
            Issue.record("answered twice")
            return
        }
        let refusal = machine.received(
            .error(ErrorCommand(requestID: second.id, error: .topicNotFound, message: "none")), now: Self.start)
        guard case .answer(second.id, .failure(let error)) = refusal else {
            Issue.record("\(refusal)")
            return
        }
        #expect(error.code == .topicNotFound && error.message.contains("TopicNotFound (none)"))
    }

    @Test func eachQuestionHasItsOwnDeadline() throws {
        var machine = opened { $0.keepAliveInterval = .seconds(1000) }
        let late = try machine.ask(lookup, deadline: after(30), now: Self.start)
        let early = try machine.ask(partitions, deadline: after(5), now: Self.start)
        #expect(machine.nextDeadline == after(5))
        #expect(machine.timePassed(after(4)) == [])
        let actions = machine.timePassed(after(5))
        guard actions.count == 1, case .answer(early.id, .failure(let error)) = actions[0] else {
            Issue.record("\(actions)")
            return
        }
        #expect(error.code == .timeout && error.message.contains("asking for partitions on broker:6650"))
        #expect(machine.nextDeadline == after(30))
        #expect(machine.timePassed(after(30)).count == 1)
        guard case .note = machine.received(.lookupResponse(LookupResponseCommand(requestID: late.id)), now: after(31))
        else {
            Issue.record("a late answer was taken")
            return
        }
    }

    @Test func aProducerThatComesTooLateIsClosedAtTheBroker() throws {
        var machine = opened()
        let question = try machine.ask(producer(7), deadline: after(3), now: Self.start)
        let actions = machine.timePassed(after(3))
        guard actions.count == 2, case .answer(question.id, .failure(let error)) = actions[0],
            case .send(.closeProducer(let close)) = actions[1]
        else {
            Issue.record("\(actions)")
            return
        }
        #expect(error.code == .timeout && close.producerID == 7 && close.requestID != question.id)
    }

    @Test func lookupsAreLimitedPerConnection() throws {
        var machine = opened { $0.lookupLimit = 2 }
        let first = try machine.ask(lookup, deadline: after(30), now: Self.start)
        _ = try machine.ask(partitions, deadline: after(30), now: Self.start)
        let error = #expect(throws: PulsarError.self) {
            try machine.ask(lookup, deadline: after(30), now: Self.start)
        }
        #expect(error?.code == .tooManyLookups)
        // Producers are no lookups.
        _ = try machine.ask(producer(1), deadline: after(30), now: Self.start)
        _ = machine.received(.lookupResponse(LookupResponseCommand(requestID: first.id)), now: Self.start)
        _ = try machine.ask(lookup, deadline: after(30), now: Self.start)
    }

    @Test func whatWasAskedFailsWhenTheConnectionEnds() throws {
        var machine = opened()
        let ids = try (0..<3).map { _ in try machine.ask(lookup, deadline: after(30), now: Self.start).id }
        guard case .close(let error, let unanswered) = machine.transportEnded(nil) else {
            Issue.record("not closed")
            return
        }
        #expect(error.code == .connectionLost && unanswered == ids && machine.nextDeadline == nil)
        #expect(throws: PulsarError.self) { try machine.ask(lookup, deadline: after(30), now: Self.start) }
    }

    // MARK: Producers

    @Test func whatIsForProducersIsRouted() {
        var machine = opened()
        let commands: [Command] = [
            .sendReceipt(SendReceiptCommand(producerID: 3, sequenceID: 1)),
            .sendError(SendErrorCommand(producerID: 3, sequenceID: 1, error: .checksumError, message: "")),
            .closeProducer(CloseProducerCommand(producerID: 3, requestID: 0)),
            .topicMigrated(TopicMigratedCommand(resourceID: 3, resourceType: .producer)),
        ]
        for command in commands {
            #expect(machine.received(command, now: Self.start) == .route(producer: 3, command))
        }
        let other = Command.topicMigrated(TopicMigratedCommand(resourceID: 3, resourceType: .consumer))
        guard case .note = machine.received(other, now: Self.start) else {
            Issue.record("a consumer's migration was routed")
            return
        }
    }

    @Test func aProducerMayHaveToWaitForItsTopic() throws {
        var machine = opened { $0.keepAliveInterval = .seconds(1000) }
        let question = try machine.ask(producer(5), deadline: after(3), now: Self.start)
        let queued = Command.producerSuccess(
            ProducerSuccessCommand(requestID: question.id, producerName: "p", producerReady: false))
        #expect(machine.received(queued, now: Self.start) == .answer(request: question.id, .success(queued)))
        // The request's time is no limit to the wait.
        #expect(machine.timePassed(after(100)) == [])
        #expect(machine.received(queued, now: after(101)) == .nothing)
        let ready = Command.producerSuccess(
            ProducerSuccessCommand(requestID: question.id, producerName: "p", producerReady: true))
        #expect(machine.received(ready, now: after(102)) == .route(producer: 5, ready))
        guard case .note = machine.received(ready, now: after(103)) else {
            Issue.record("ready twice")
            return
        }
    }

    @Test func aWaitForTheTopicThatEndsInAnErrorClosesTheProducer() throws {
        var machine = opened()
        let question = try machine.ask(producer(5), deadline: after(3), now: Self.start)
        _ = machine.received(
            .producerSuccess(ProducerSuccessCommand(requestID: question.id, producerName: "p", producerReady: false)),
            now: Self.start)
        let action = machine.received(
            .error(ErrorCommand(requestID: question.id, error: .producerFenced, message: "")), now: Self.start)
        guard case .route(5, .closeProducer) = action else {
            Issue.record("\(action)")
            return
        }
    }

    // MARK: Signs of life

    @Test func aDeadPeerIsSeenAfterOneToTwoIntervals() {
        var machine = opened()
        #expect(machine.nextDeadline == after(30))
        #expect(machine.timePassed(after(30)) == [.send(.ping)])
        // Its own PINGs do not show that it answers.
        #expect(machine.received(.ping, now: after(45)) == .send(.pong))
        #expect(machine.timePassed(after(59)) == [])
        let error = machine.timePassed(after(60)).first.flatMap(closing)
        #expect(error?.code == .connectionLost && error?.message.contains("no sign of life within 30 s") == true)
    }

    @Test func whateverComesIsASignOfLife() {
        let signs: [Command] = [
            .pong, .sendReceipt(SendReceiptCommand(producerID: 3, sequenceID: 1)), .unknown(type: 77),
        ]
        for sign in signs {
            var machine = opened()
            for round in 1...5 {
                #expect(machine.timePassed(after(Int64(round) * 30)) == [.send(.ping)])
                _ = machine.received(sign, now: after(Int64(round) * 30 + 29))
            }
        }
    }

    @Test func aBrokerOfBeforePingsGetsNone() {
        let machine = opened(ConnectedCommand(serverVersion: "old", protocolVersion: 0))
        #expect(machine.nextDeadline == nil)
    }

    // MARK: Fresh credentials

    @Test func aChallengeIsAnsweredWithFreshCredentials() {
        var machine = opened { $0.keepAliveInterval = .seconds(1000) }
        let challenge = Command.authChallenge(AuthChallengeCommand(serverVersion: "x"))
        #expect(machine.received(challenge, now: Self.start) == .fetchCredentials)
        #expect(machine.lastCredentials == Self.credentials)
        // One is on its way.
        #expect(machine.received(challenge, now: Self.start) == .nothing)
        let fresh = AuthData(authMethodName: "token", authData: Array("fresh".utf8))
        guard case .send(.authResponse(let response)) = machine.fetched(.success(fresh)) else {
            Issue.record("no AUTH_RESPONSE")
            return
        }
        #expect(response.response == fresh && machine.lastCredentials == fresh)
        #expect(machine.fetched(.success(fresh)) == .nothing)
        #expect(machine.received(challenge, now: after(60)) == .fetchCredentials)
    }

    @Test func aMethodWithoutDataAnswersAChallengeWithNoBytes() {
        var machine = machine()
        guard case .send(.connect(let connect)) = machine.connected(AuthData(authMethodName: "none")) else {
            Issue.record("no CONNECT")
            return
        }
        #expect(connect.authData == nil)
        _ = machine.received(.connected(ConnectedCommand(serverVersion: "x")), now: Self.start)
        _ = machine.received(.authChallenge(AuthChallengeCommand()), now: Self.start)
        guard case .send(.authResponse(let response)) = machine.fetched(.success(AuthData(authMethodName: "none")))
        else {
            Issue.record("no AUTH_RESPONSE")
            return
        }
        #expect(response.response?.authData == [])
    }

    @Test func withoutFreshCredentialsTheConnectionEnds() {
        var failing = opened()
        _ = failing.received(.authChallenge(AuthChallengeCommand()), now: Self.start)
        let failure = PulsarError(.credentialsUnavailable, "no file")
        #expect(closing(failing.fetched(.failure(failure))) == failure)
        var silent = opened { $0.authenticationTimeout = .seconds(4) }
        _ = silent.received(.authChallenge(AuthChallengeCommand()), now: Self.start)
        #expect(silent.nextDeadline == after(4))
        #expect(silent.timePassed(after(4)).first.flatMap(closing)?.code == .credentialsUnavailable)
    }

    // MARK: Idleness

    @Test func aConnectionThatNothingUsesIsClosed() throws {
        let idle = { (configuration: inout ConnectionMachine.Configuration) in
            configuration.idleTimeout = .seconds(20)
            configuration.keepAliveInterval = .seconds(1000)
        }
        var machine = opened(ConnectedCommand(serverVersion: "x", protocolVersion: 20), idle)
        #expect(machine.nextDeadline == after(20))
        machine.touch(after(19))
        #expect(machine.timePassed(after(20)) == [])
        let question = try machine.ask(producer(1), deadline: after(1000), now: after(38))
        #expect(machine.timePassed(after(500)) == [])
        _ = machine.received(
            .producerSuccess(ProducerSuccessCommand(requestID: question.id, producerName: "p")), now: after(500))
        #expect(machine.timePassed(after(900)) == [])
        let end = try machine.ask(closeProducer(1), deadline: after(1000), now: after(900))
        _ = machine.received(.success(SuccessCommand(requestID: end.id)), now: after(901))
        #expect(machine.timePassed(after(920)) == [])
        #expect(machine.timePassed(after(921)).first.flatMap(closing)?.message.contains("nothing used it") == true)
    }

    @Test func aConnectionWhoseProducersTheBrokerClosedIsIdle() throws {
        for end in [
            Command.closeProducer(CloseProducerCommand(producerID: 1, requestID: 9)),
            .topicMigrated(TopicMigratedCommand(resourceID: 1, resourceType: .producer)),
        ] {
            var machine = opened(ConnectedCommand(serverVersion: "x")) { $0.idleTimeout = .seconds(20) }
            let question = try machine.ask(producer(1), deadline: after(5), now: Self.start)
            _ = machine.received(
                .producerSuccess(ProducerSuccessCommand(requestID: question.id, producerName: "p")), now: Self.start)
            _ = machine.received(end, now: after(10))
            #expect(machine.timePassed(after(29)) == [])
            #expect(machine.timePassed(after(30)).first.flatMap(closing) != nil)
        }
    }

    // MARK: Anything at all

    @Test func noSequenceOfCommandsTrapsOrLeavesAQuestionWithoutAnswer() throws {
        for var generator in [SeededGenerator(seed: 41), .fresh("connection machine")] {
            for _ in 0..<300 {
                var machine = machine { $0.idleTimeout = .seconds(50) }
                var asked: Set<UInt64> = []
                var now = Self.start
                func take(_ action: ConnectionMachine.Action) {
                    switch action {
                    case .answer(let id, _): #expect(asked.remove(id) != nil)
                    case .close(_, let ids):
                        #expect(Set(ids) == asked)
                        asked = []
                    default: break
                    }
                }
                for _ in 0..<60 {
                    now = now + .milliseconds(Int64.random(in: 0...8000, using: &generator))
                    let id = UInt64.random(in: 0...6, using: &generator)
                    switch Int.random(in: 0..<16, using: &generator) {
                    case 0: take(machine.connected(Self.credentials))
                    case 1:
                        take(
                            machine.received(
                                .connected(ConnectedCommand(serverVersion: "x", protocolVersion: 20)), now: now))
                    case 2: take(machine.received(.ping, now: now))
                    case 3: take(machine.received(.authChallenge(AuthChallengeCommand()), now: now))
                    case 4: take(machine.fetched(.success(Self.credentials)))
                    case 5: take(machine.received(.lookupResponse(LookupResponseCommand(requestID: id)), now: now))
                    case 6: take(machine.received(.success(SuccessCommand(requestID: id)), now: now))
                    case 7:
                        let ready = Bool.random(using: &generator)
                        take(
                            machine.received(
                                .producerSuccess(
                                    ProducerSuccessCommand(requestID: id, producerName: "p", producerReady: ready)),
                                now: now))
                    case 8:
                        take(
                            machine.received(
                                .error(ErrorCommand(requestID: id, error: .unknownError, message: "")), now: now))
                    case 9: take(machine.received(closeProducer(id), now: now))
                    case 10:
                        take(
                            machine.received(
                                .topicMigrated(TopicMigratedCommand(resourceID: id, resourceType: .producer)), now: now)
                        )
                    case 11, 12:
                        let question = [lookup, partitions, producer(id), closeProducer(id)].randomElement(
                            using: &generator)
                        if let question, let made = try? machine.ask(question, deadline: now + .seconds(30), now: now) {
                            #expect(asked.insert(made.id).inserted)
                        }
                    case 13: machine.touch(now)
                    case 14 where Int.random(in: 0..<10, using: &generator) == 0: take(machine.transportEnded(nil))
                    default: for action in machine.timePassed(now) { take(action) }
                    }
                    if machine.isClosed { #expect(asked.isEmpty && machine.nextDeadline == nil) }
                }
                take(machine.transportEnded(nil))
                #expect(asked.isEmpty)
            }
        }
    }
}
