import Producing
import Pulsar
import TestSupport
import Testing

/// The producer machine against a simulated broker that loses connections, answers and writes.
@Suite struct ProducerMachineModelTests {
    /// Both sides, and what is between them.
    private struct World {
        var driver: MachineDriver
        var topic: SimulatedTopic
        var random: SeededGenerator
        /// On their way, by connection.
        var frames: [UInt64: [SealedSend]] = [:]
        var answers: [UInt64: [SimulatedTopic.Answer]] = [:]
        /// The one that the broker listens to: it throws out the earlier ones of the name.
        var current: UInt64 = 0
        /// The broker's answer to an opening is on its way.
        var openings: [UInt64] = []
        /// Nothing more goes onto these.
        var broken: Set<UInt64> = []
        /// Waiting for the client to hear of it.
        var lost: [UInt64] = []
        var results: [Int: Result<SendPosition, PulsarError>] = [:]
        var submitted: [ClosedRange<UInt64>] = []
        var nextID: UInt64 = 0
        var hasFaults = true

        mutating func perform() {
            for action in driver.take() {
                switch action {
                case .open(let opening): openings.append(opening.attempt)
                case .transmit(let send): transmit(send)
                case .settled(let token, let result):
                    #expect(results[token] == nil, "told twice of \(token)")
                    results[token] = result
                case .reset: cut(driver.machine.attempt)
                case .ready, .ended: break
                }
            }
        }

        mutating func transmit(_ send: SealedSend) {
            let attempt = driver.machine.attempt
            if !broken.contains(attempt) { frames[attempt, default: []].append(send) }
        }

        mutating func answer(_ answer: SimulatedTopic.Answer, _ attempt: UInt64) {
            if !broken.contains(attempt) { answers[attempt, default: []].append(answer) }
        }

        mutating func submit() {
            let count = UInt64.random(in: 1...5, using: &random)
            let ids = nextID...(nextID + count - 1)
            // Gaps are allowed.
            nextID = ids.upperBound + UInt64.random(in: 1...3, using: &random)
            driver.submit(
                submitted.count, MachineDriver.send(ids.lowerBound, through: ids.upperBound, size: Int(count) * 10))
            submitted.append(ids)
        }

        mutating func deliverFrame() {
            guard let attempt = frames.keys.sorted().randomElement(using: &random), let send = frames[attempt]?.first
            else { return }
            frames[attempt]?.removeFirst()
            if frames[attempt]?.isEmpty == true { frames[attempt] = nil }
            // The broker has thrown out that connection's producer.
            guard attempt == current else { return }
            if let answer = topic.receive(send, attempt: attempt) { self.answer(answer, attempt) }
        }

        mutating func endWrite() {
            let succeeds = !hasFaults || Int.random(in: 0..<50, using: &random) > 0
            for (attempt, answer) in topic.endWrite(succeeds: succeeds) { self.answer(answer, attempt) }
            guard !succeeds, current > 0 else { return }
            // The broker fences the topic, and throws out its producers.
            cut(current)
            lost.append(current)
            current = 0
        }

        mutating func deliverAnswer() {
            guard let attempt = answers.keys.sorted().randomElement(using: &random),
                let answer = answers[attempt]?.first
            else { return }
            answers[attempt]?.removeFirst()
            if answers[attempt]?.isEmpty == true { answers[attempt] = nil }
            // Repeated now and then.
            let times = hasFaults && Int.random(in: 0..<20, using: &random) == 0 ? 2 : 1
            for _ in 0..<times {
                switch answer {
                case .receipt(let id, let position):
                    driver.machine.receipt(
                        firstID: id, position: position, attempt: attempt, now: driver.now, using: &random,
                        &driver.actions)
                case .refusal(let id, let code):
                    driver.machine.refused(
                        PulsarError(code, "test"), lastID: id, attempt: attempt, now: driver.now, using: &random,
                        &driver.actions)
                }
                perform()
            }
        }

        mutating func answerOpening() {
            guard !openings.isEmpty else { return }
            let attempt = openings.removeFirst()
            guard !broken.contains(attempt) else {
                driver.machine.openingFailed(
                    PulsarError(.connectionLost, "test"), attempt: attempt, now: driver.now, using: &random,
                    &driver.actions)
                return
            }
            if hasFaults, Int.random(in: 0..<4, using: &random) == 0 {
                let codes = [
                    PulsarError.Code.producerBusy, .serviceNotReady, .timeout, .connectFailed, .connectionLost,
                ]
                let code = codes.randomElement(using: &random) ?? .unknown
                driver.machine.openingFailed(
                    PulsarError(code, "test"), attempt: attempt, now: driver.now, using: &random, &driver.actions)
                return
            }
            current = attempt
            driver.machine.opened(
                OpenedProducer(name: "n", lastSequenceID: topic.lastSequenceID, maximumMessageSize: 1000),
                attempt: attempt, isReady: true, topicEpoch: nil, now: driver.now, using: &random, &driver.actions)
        }

        /// The connection breaks: some of what is on it still arrives, in either direction.
        mutating func drop() {
            cut(driver.machine.attempt)
            lost.append(driver.machine.attempt)
        }

        mutating func cut(_ attempt: UInt64) {
            broken.insert(attempt)
            if let pending = frames[attempt] {
                let kept = Int.random(in: 0...pending.count, using: &random)
                frames[attempt] = kept == 0 ? nil : Array(pending.prefix(kept))
            }
            if let pending = answers[attempt] {
                let kept = Int.random(in: 0...pending.count, using: &random)
                answers[attempt] = kept == 0 ? nil : Array(pending.prefix(kept))
            }
        }

        mutating func hearOfLoss() {
            guard let attempt = lost.popLast() else { return }
            driver.machine.connectionClosed(
                PulsarError(.connectionLost, "test"), attempt: attempt, now: driver.now, using: &random,
                &driver.actions)
        }

        mutating func step() {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<20: submit()
            case 20..<45: deliverFrame()
            case 45..<65: endWrite()
            case 65..<85: deliverAnswer()
            case 85..<90: answerOpening()
            case 90..<91: if hasFaults { drop() }
            case 91..<94: hearOfLoss()
            case 94..<95:
                driver.machine.writability(
                    Bool.random(using: &random), attempt: driver.machine.attempt, now: driver.now, &driver.actions)
            default: driver.pass(.milliseconds(Int.random(in: 0..<2000, using: &random)))
            }
            perform()
        }

        /// Without further faults until everything has its result.
        mutating func settle() {
            hasFaults = false
            var rounds = 0
            while results.count < submitted.count {
                rounds += 1
                guard rounds < 100_000 else { return #expect(Bool(false), "no end: \(driver.machine.count) wait") }
                while !lost.isEmpty { hearOfLoss() }
                driver.machine.writability(
                    true, attempt: driver.machine.attempt, now: driver.now, &driver.actions)
                answerOpening()
                perform()
                deliverFrame()
                endWrite()
                deliverAnswer()
                perform()
                if frames.isEmpty, answers.isEmpty, openings.isEmpty, !topic.hasWrites { driver.pass(.seconds(1)) }
                perform()
            }
        }
    }

    private func world(
        _ random: SeededGenerator, deduplicates: Bool, sendTimeout: Duration? = nil, answerTimeout: Duration? = nil,
        bytesInFlight: Int = 200
    ) -> World {
        var options = ProducerMachineOptions(sendTimeout: sendTimeout, openingTimeout: nil, isPatient: true)
        options.maximumBytesInFlight = bytesInFlight
        options.answerTimeout = answerTimeout
        options.backoff = RetryPolicy(first: .milliseconds(10), cap: .seconds(1))
        var world = World(
            driver: MachineDriver(options), topic: SimulatedTopic(deduplicates: deduplicates), random: random)
        world.driver.start()
        world.perform()
        return world
    }

    private var generators: [SeededGenerator] {
        (1...20).map { SeededGenerator(seed: $0) } + [.fresh("producer machine model")]
    }

    @Test func withDeduplicationNothingIsLostOrStoredTwiceAndTheOrderIsKept() {
        for random in generators {
            var world = world(random, deduplicates: true, answerTimeout: .seconds(3))
            for _ in 0..<3000 { world.step() }
            world.settle()
            let isWhole = world.topic.log == world.submitted
            #expect(isWhole, "seed \(random.seed)")
            for (token, result) in world.results {
                if case .failure(let error) = result { #expect(Bool(false), "\(token): \(error), seed \(random.seed)") }
            }
            #expect(world.driver.machine.lastSequenceID == world.topic.persisted, "seed \(random.seed)")
            #expect(world.driver.machine.bytes == 0)
        }
    }

    @Test func withoutDeduplicationNothingIsLostAndRepetitionsKeepTheOrder() {
        for random in generators {
            var world = world(random, deduplicates: false)
            for _ in 0..<2000 { world.step() }
            world.settle()
            var seen: Set<UInt64> = []
            let firsts = world.topic.log.filter { seen.insert($0.lowerBound).inserted }
            let isWhole = firsts == world.submitted
            #expect(isWhole, "seed \(random.seed)")
            for (token, result) in world.results {
                if case .failure(let error) = result { #expect(Bool(false), "\(token): \(error), seed \(random.seed)") }
            }
        }
    }

    @Test func withASendTimeoutEveryResultIsTrue() {
        for random in generators {
            var world = world(random, deduplicates: true, sendTimeout: .seconds(3))
            for _ in 0..<3000 { world.step() }
            world.settle()
            // In order, and nothing twice.
            let starts = world.topic.log.map(\.lowerBound)
            let isOrdered = starts == Set(starts).sorted()
            #expect(isOrdered, "seed \(random.seed)")
            let stored = Set(starts)
            for (token, result) in world.results {
                let wasStored = stored.contains(world.submitted[token].lowerBound)
                switch result {
                case .success: #expect(wasStored, "seed \(random.seed)")
                case .failure(let error): #expect(error.isOutcomeUnknown || !wasStored, "seed \(random.seed)")
                }
            }
        }
    }
}
