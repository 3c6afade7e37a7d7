import NIOCore
import Pulsar
import Testing

@Suite struct ProducerMachineTests {
    // MARK: Opening

    @Test func openingAsksForTheNameAndTellsWhatTheBrokerHas() {
        let driver = MachineDriver(ProducerMachineOptions(name: "mine"))
        driver.start()
        guard case .open(let opening) = driver.take().first else { return #expect(Bool(false)) }
        #expect(opening.name == "mine")
        #expect(opening.isNameGiven)
        #expect(opening.epoch == 0)
        #expect(opening.topicEpoch == nil)
        driver.opened(last: 41)
        #expect(driver.texts == ["ready"])
        #expect(driver.machine.lastSequenceID == 41)
        #expect(driver.machine.isReady)
    }

    @Test func theEpochGrowsWithEachAttemptAndTheBrokersNameStays() {
        let driver = MachineDriver()
        driver.start()
        driver.opened(name: "chosen-by-broker", topicEpoch: 7)
        driver.lose()
        _ = driver.take()
        for epoch in 1...3 as ClosedRange<UInt64> {
            #expect(driver.passToDeadline())
            guard case .open(let opening) = driver.take().first else { return #expect(Bool(false)) }
            #expect(opening.epoch == epoch)
            #expect(opening.name == "chosen-by-broker")
            #expect(!opening.isNameGiven)
            #expect(opening.topicEpoch == 7)
            driver.fail(.serviceNotReady)
        }
    }

    @Test func aBusyProducerIsTriedAgainUntilTheOpeningTimeout() {
        let driver = MachineDriver(ProducerMachineOptions(openingTimeout: .seconds(30)))
        driver.start()
        let begin = driver.now
        var attempts = 0
        while driver.machine.end == nil {
            for action in driver.take() { if case .open = action { attempts += 1 } }
            if attempts > 0, driver.machine.deadline != nil { driver.fail(.producerBusy) }
            guard driver.passToDeadline() else { break }
        }
        #expect(attempts > 5)
        #expect(driver.now - begin <= .seconds(30))
        #expect(driver.machine.end?.code == .producerBusy)
    }

    @Test func patienceHasNoLimitWhenNoneIsSet() {
        let driver = MachineDriver(ProducerMachineOptions(openingTimeout: nil, isPatient: true))
        driver.start()
        for code in [PulsarError.Code.producerBusy, .authorizationFailed, .quotaExceeded, .topicNotFound] {
            for _ in 0..<20 {
                driver.fail(code)
                #expect(driver.passToDeadline())
            }
        }
        #expect(driver.machine.end == nil)
        driver.fail(.producerFenced)
        #expect(driver.machine.end?.code == .producerFenced)
    }

    @Test(arguments: [
        PulsarError.Code.authorizationFailed, .authenticationFailed, .topicNotFound, .topicTerminated, .notAllowed,
        .incompatibleSchema, .producerFenced, .quotaExceeded,
    ])
    func whatNoLaterAttemptMendsEndsTheFirstOpening(_ code: PulsarError.Code) {
        let driver = MachineDriver()
        driver.start()
        _ = driver.take()
        driver.fail(code)
        #expect(driver.texts == ["ended \(code)"])
        #expect(driver.machine.deadline == nil)
    }

    @Test func theQueueForTheTopicHasNoDeadline() {
        let driver = MachineDriver(ProducerMachineOptions(sendTimeout: nil, openingTimeout: .seconds(30)))
        driver.start()
        driver.submit(1, MachineDriver.send(0))
        driver.opened(isReady: false)
        #expect(driver.texts == ["open 0"])
        #expect(driver.machine.deadline == nil)
        driver.pass(.seconds(100_000))
        driver.opened(isReady: true, topicEpoch: 3)
        #expect(driver.texts == ["ready", "send 0"])
    }

    @Test func losingTheConnectionInTheQueueOpensAgain() {
        let driver = MachineDriver()
        driver.start()
        driver.opened(isReady: false)
        driver.lose()
        _ = driver.take()
        #expect(driver.passToDeadline())
        #expect(driver.texts == ["open 1"])
    }

    // MARK: Resending

    @Test func allThatWaitsIsSentAgainInOrderBeforeAnythingNew() {
        let driver = MachineDriver()
        driver.open()
        for id in 0..<4 as Range<UInt64> { driver.submit(Int(id), MachineDriver.send(id)) }
        driver.receipt(0)
        driver.lose()
        driver.submit(4, MachineDriver.send(4))
        #expect(
            driver.texts == ["send 0", "send 1", "send 2", "send 3", "0 stored"])
        #expect(driver.passToDeadline())
        driver.opened()
        driver.submit(5, MachineDriver.send(5))
        #expect(driver.texts == ["open 1", "ready", "send 1", "send 2", "send 3", "send 4", "send 5"])
    }

    @Test func theSameBytesGoAgain() {
        let driver = MachineDriver()
        driver.open()
        let send = SealedSend(
            firstID: 1, lastID: 3, head: ByteBuffer(string: "head"), payload: ByteBuffer(string: "body"))
        driver.submit(0, send)
        driver.lose()
        _ = driver.passToDeadline()
        driver.opened()
        let sent = driver.take().compactMap { action -> SealedSend? in
            if case .transmit(let send) = action { return send }
            return nil
        }
        #expect(sent.map(\.head) == [send.head, send.head])
        #expect(sent.map(\.payload) == [send.payload, send.payload])
    }

    @Test func wordsOfAnEarlierConnectionCountForNothing() {
        let driver = MachineDriver()
        driver.open()
        let old = driver.machine.attempt
        driver.submit(0, MachineDriver.send(0))
        driver.lose()
        _ = driver.passToDeadline()
        driver.opened()
        _ = driver.take()
        driver.machine.receipt(
            firstID: 0, position: .duplicate, attempt: old, now: driver.now, using: &driver.random, &driver.actions)
        driver.machine.connectionClosed(
            PulsarError(.connectionLost, ""), attempt: old, now: driver.now, using: &driver.random, &driver.actions)
        driver.machine.refused(
            PulsarError(.producerFenced, ""), lastID: 0, attempt: old, now: driver.now, using: &driver.random,
            &driver.actions)
        #expect(driver.texts == [])
        #expect(driver.machine.isReady)
    }

    @Test func waitsGrowWhileNothingGoesWellAndStartAnewAfterwards() {
        let driver = MachineDriver(
            ProducerMachineOptions(
                sendTimeout: nil, backoff: .init(first: .milliseconds(100), cap: .seconds(60), jitter: .share(0))))
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        var waits: [Duration] = []
        for _ in 0..<12 {
            driver.lose()
            waits.append((driver.machine.deadline ?? driver.now) - driver.now)
            _ = driver.passToDeadline()
            // Taken, and lost again before anything was acknowledged: that is no success.
            driver.opened()
        }
        #expect(waits.prefix(3) == [.milliseconds(100), .milliseconds(200), .milliseconds(400)])
        #expect(waits.last == .seconds(60))
        driver.receipt(0)
        driver.lose()
        #expect((driver.machine.deadline ?? driver.now) - driver.now == .milliseconds(100))
    }

    // MARK: Receipts

    @Test func aReceiptIsTheOldestOnes() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0, through: 9))
        driver.submit(1, MachineDriver.send(10))
        _ = driver.take()
        driver.receipt(0)
        #expect(driver.texts == ["0 stored"])
        #expect(driver.machine.lastSequenceID == 9)
        // Repeated, or of something that was given up.
        driver.receipt(0)
        #expect(driver.texts == [])
        driver.receipt(10)
        #expect(driver.texts == ["1 stored"])
        driver.receipt(11)
        #expect(driver.texts == [])
    }

    @Test func aReceiptAboveTheOldestResetsTheConnection() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        driver.receipt(1)
        #expect(driver.texts == ["reset"])
        #expect(driver.passToDeadline())
        driver.opened()
        #expect(driver.texts == ["open 1", "ready", "send 0", "send 1"])
    }

    @Test func aReceiptWithoutAPositionIsASuccess() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.receipt(0, .duplicate)
        #expect(driver.texts == ["send 0", "0 was there"])
        #expect(driver.machine.lastSequenceID == 0)
    }

    @Test func theLastSequenceIDNeverGoesDown() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(5))
        driver.submit(1, MachineDriver.send(0))
        driver.receipt(5)
        driver.receipt(0)
        #expect(driver.texts == ["send 5", "send 0", "0 stored", "1 stored"])
        #expect(driver.machine.lastSequenceID == 5)
    }

    // MARK: Chunks

    @Test func aMessageInChunksIsStoredWithTheLastOne() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(
            0, MachineDriver.send(4, isLastChunk: false), MachineDriver.send(4, isLastChunk: false),
            MachineDriver.send(4))
        _ = driver.take()
        driver.receipt(4, SendPosition(ledgerID: 1, entryID: 1))
        driver.receipt(4, SendPosition(ledgerID: 1, entryID: 2))
        #expect(driver.texts == [])
        #expect(driver.machine.lastSequenceID == -1)
        driver.receipt(4, SendPosition(ledgerID: 1, entryID: 3))
        guard case .settled(0, .success(let position)) = driver.take().first else { return #expect(Bool(false)) }
        #expect(position.firstEntryID == 1)
        #expect(position.entryID == 3)
        #expect(driver.machine.lastSequenceID == 4)
    }

    @Test func aRefusedChunkFailsTheMessageOnceAndNothingElse() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(3))
        driver.submit(1, MachineDriver.send(4, isLastChunk: false), MachineDriver.send(4))
        driver.submit(2, MachineDriver.send(5))
        _ = driver.take()
        driver.refuse(4, .notAllowed)
        #expect(driver.texts == ["1 not-allowed"])
        driver.receipt(3)
        driver.receipt(5)
        #expect(driver.texts == ["0 stored", "2 stored"])
        #expect(driver.machine.bytes == 0)
    }

    // MARK: Refusals

    @Test func aMessageThatIsNotAllowedFailsAlone() {
        let driver = MachineDriver()
        driver.open()
        for id in 0..<3 as Range<UInt64> { driver.submit(Int(id), MachineDriver.send(id)) }
        _ = driver.take()
        // It may come before the receipts of what went earlier.
        driver.refuse(1, .notAllowed)
        driver.receipt(0)
        driver.receipt(2)
        #expect(driver.texts == ["1 not-allowed", "0 stored", "2 stored"])
    }

    @Test(arguments: [PulsarError.Code.topicTerminated, .producerFenced])
    func theEndOfTopicOrProducerFailsAllThatWaits(_ code: PulsarError.Code) {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        driver.refuse(0, code)
        driver.submit(2, MachineDriver.send(2))
        #expect(driver.texts == ["0 \(code)?", "1 \(code)?", "ended \(code)", "2 \(code)"])
    }

    @Test(arguments: [PulsarError.Code.brokerPersistence, .brokerMetadata, .unknown, .quotaExceeded])
    func aBrokerThatCannotTellIsAskedOverAnotherConnection(_ code: PulsarError.Code) {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        driver.refuse(0, code)
        #expect(driver.texts == ["reset"])
        #expect(driver.machine.deadline != nil)
        #expect(driver.passToDeadline())
        driver.opened()
        #expect(driver.texts == ["open 1", "ready", "send 0", "send 1"])
    }

    @Test func damagedBytesAreSentOnceMore() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        _ = driver.take()
        driver.refuse(0, .checksum)
        #expect(driver.texts == ["send 0"])
        driver.refuse(0, .checksum)
        #expect(driver.texts == ["0 checksum"])
        #expect(driver.machine.count == 0)
    }

    /// What went behind it may be stored already. A broker that deduplicates then takes the repetition for a duplicate.
    @Test func aDamagedMessageThatOthersOvertookIsNoSuccess() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        driver.refuse(0, .checksum)
        #expect(driver.texts == ["reset"])
        _ = driver.passToDeadline()
        driver.opened()
        _ = driver.take()
        driver.receipt(0, .duplicate)
        driver.receipt(1, .duplicate)
        #expect(driver.texts == ["0 checksum?", "1 was there"])
    }

    @Test func aFullTopicThatRefusesProducersFailsWhatWaitsAndIsTriedAgain() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.lose()
        driver.submit(1, MachineDriver.send(1))
        _ = driver.passToDeadline()
        _ = driver.take()
        driver.fail(.quotaExceededRefused)
        #expect(driver.texts == ["0 quota-exceeded-refused?", "1 quota-exceeded-refused"])
        #expect(driver.passToDeadline())
        #expect(driver.texts == ["open 2"])
    }

    @Test func thePatientKeepWhatWaitsWhileTheTopicIsFull() {
        let driver = MachineDriver(ProducerMachineOptions(sendTimeout: nil, openingTimeout: nil, isPatient: true))
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.lose()
        _ = driver.passToDeadline()
        driver.fail(.quotaExceededRefused)
        _ = driver.passToDeadline()
        driver.opened()
        #expect(driver.texts == ["send 0", "open 1", "open 2", "ready", "send 0"])
    }

    // MARK: Moving

    private func other() throws -> BrokerAddress {
        BrokerAddress(try ServiceURL("pulsar://b:1").hosts[0], usesTLS: false)
    }

    @Test func aTopicThatMovesIsFollowed() throws {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.receipt(0)
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        driver.machine.closedByBroker(
            assigned: .broker(try other()), attempt: driver.machine.attempt, now: driver.now,
            using: &driver.random, &driver.actions)
        #expect(driver.texts == ["open 1 at b:1"])
        // That broker has not got it either: the next attempt asks.
        driver.fail(.serviceNotReady)
        #expect(driver.passToDeadline())
        driver.opened()
        #expect(driver.texts == ["open 2", "ready", "send 1"])
    }

    @Test func aBrokerThatOnlyClosesIsAskedForTheNewPlaceAfterAWait() {
        let driver = MachineDriver()
        driver.open()
        driver.machine.closedByBroker(
            assigned: nil, attempt: driver.machine.attempt, now: driver.now, using: &driver.random, &driver.actions)
        #expect(driver.texts == [])
        #expect(driver.passToDeadline())
        #expect(driver.texts == ["open 1"])
    }

    @Test func brokersThatSendEachOtherTheProducerAreNotFollowedWithoutAWait() throws {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        _ = driver.take()
        for round in 0..<2 {
            driver.machine.closedByBroker(
                assigned: .broker(try other()), attempt: driver.machine.attempt, now: driver.now,
                using: &driver.random, &driver.actions)
            #expect(driver.texts == (round == 0 ? ["open 1 at b:1"] : []))
            driver.opened()
            _ = driver.take()
        }
        #expect(driver.passToDeadline())
        #expect(driver.texts == ["open 2"])
    }

    @Test func aTopicThatMigratedStaysInItsNewCluster() throws {
        let driver = MachineDriver()
        driver.open()
        driver.machine.migrated(
            to: .cluster(try ServiceURL("pulsar://new:1")), attempt: driver.machine.attempt, now: driver.now,
            using: &driver.random,
            &driver.actions)
        driver.opened()
        driver.lose()
        _ = driver.passToDeadline()
        #expect(driver.texts == ["open 1 in pulsar://new:1", "ready", "open 2 in pulsar://new:1"])
    }

    // MARK: Time

    @Test func onlyWhatHasWaitedTooLongFails() {
        let driver = MachineDriver(ProducerMachineOptions(sendTimeout: .seconds(30)))
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.pass(.seconds(20))
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        #expect(driver.passToDeadline())
        #expect(driver.texts == ["0 timeout?"])
        // The answer comes after all.
        driver.receipt(0)
        #expect(driver.texts == [])
        driver.receipt(1)
        #expect(driver.texts == ["1 stored"])
    }

    @Test func whatWasNeverSentIsKnownNotToBeThere() {
        let driver = MachineDriver(ProducerMachineOptions(sendTimeout: .seconds(5), openingTimeout: nil))
        driver.start()
        driver.submit(0, MachineDriver.send(0, isLastChunk: false), MachineDriver.send(0))
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        #expect(driver.passToDeadline())
        #expect(driver.texts == ["0 timeout", "1 timeout"])
        #expect(driver.machine.bytes == 0)
    }

    @Test func withoutASendTimeoutNothingIsEverGivenUp() {
        let driver = MachineDriver(ProducerMachineOptions(sendTimeout: nil))
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        _ = driver.take()
        #expect(driver.machine.deadline == nil)
        driver.pass(.seconds(1_000_000))
        #expect(driver.texts == [])
    }

    /// It may answer PINGs all the same.
    @Test func aBrokerThatKeepsItsAnswersIsAskedOverAnotherConnection() {
        let driver = MachineDriver(
            ProducerMachineOptions(sendTimeout: nil, openingTimeout: nil, answerTimeout: .seconds(60)))
        driver.open()
        driver.pass(.seconds(100))
        #expect(driver.machine.deadline == nil)
        driver.submit(0, MachineDriver.send(0))
        driver.submit(1, MachineDriver.send(1))
        driver.pass(.seconds(59))
        driver.receipt(0)
        // Each answer gives the next one as long.
        driver.pass(.seconds(59))
        #expect(driver.texts == ["send 0", "send 1", "0 stored"])
        driver.pass(.seconds(1))
        #expect(driver.texts == ["reset"])
        #expect(driver.passToDeadline())
        // Opening has no part in it.
        driver.pass(.seconds(100))
        #expect(driver.texts == ["open 1"])
        driver.opened()
        #expect(driver.texts == ["ready", "send 1"])
        driver.receipt(1)
        #expect(driver.texts == ["1 stored"])
        #expect(driver.machine.deadline == nil)
    }

    // MARK: Back-pressure

    @Test func noMoreBytesAreInFlightThanAllowed() {
        let driver = MachineDriver(ProducerMachineOptions(maximumBytesInFlight: 100))
        driver.open()
        driver.submit(0, MachineDriver.send(0, size: 500))
        for id in 1..<5 as Range<UInt64> { driver.submit(Int(id), MachineDriver.send(id, size: 40)) }
        // One is always allowed.
        #expect(driver.texts == ["send 0"])
        driver.receipt(0)
        #expect(driver.texts == ["0 stored", "send 1", "send 2"])
        driver.receipt(1)
        #expect(driver.texts == ["1 stored", "send 3"])
    }

    @Test func aConnectionThatTakesNoMoreIsNotGivenMore() {
        let driver = MachineDriver()
        driver.open()
        driver.machine.writability(
            false, attempt: driver.machine.attempt, now: driver.now, &driver.actions)
        driver.submit(0, MachineDriver.send(0))
        #expect(driver.texts == [])
        driver.machine.writability(
            true, attempt: driver.machine.attempt, now: driver.now, &driver.actions)
        #expect(driver.texts == ["send 0"])
    }

    // MARK: Closing

    @Test func closingFailsWhatHasNoAnswer() {
        let driver = MachineDriver()
        driver.open()
        driver.submit(0, MachineDriver.send(0))
        driver.lose()
        driver.submit(1, MachineDriver.send(1))
        _ = driver.take()
        driver.machine.close(PulsarError(.alreadyClosed, "test"), &driver.actions)
        driver.submit(2, MachineDriver.send(2))
        #expect(
            driver.texts
                == ["0 already-closed?", "1 already-closed", "ended already-closed", "2 already-closed"])
        #expect(driver.machine.deadline == nil)
    }
}
