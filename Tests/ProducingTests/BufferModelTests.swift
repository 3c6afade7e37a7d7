import Producing
import TestSupport
import Testing

/// The buffer of one partition, driven at random: enqueues of events and batches with and without deadlines, answers of
/// every kind, flushes, cancellations, closes and jumps of time.
@Suite struct BufferModelTests {
    private typealias Buffer = PartitionBuffer<NumberBuilder>
    private typealias Failure = NumberBuilder.Failure

    private struct Model {
        var buffer: Buffer
        var random: SeededGenerator
        var now = ContinuousClock.now
        /// Events in the order in which the buffer took them.
        var taken: [Int] = []
        /// Events in the order of their results.
        var told: [Int] = []
        /// Results that were not yet reported as told.
        var untold: [Int] = []
        var failed: Set<Int> = []
        var mayFail: Set<Int> = []
        /// For good, by the service.
        var refused: Set<Int> = []
        var flying: [(batch: [Int], ticket: Buffer.Ticket)] = []
        /// First arrivals at the service.
        var received: [Int] = []
        var arrived: Set<Int> = []
        var waiting: [UInt64: (events: [Int], deadline: ContinuousClock.Instant?)] = [:]
        var flushes: [UInt64: Int] = [:]
        var ended = 0
        var nextEvent = 0
        var nextID: UInt64 = 0
        var isOver = false
        let window: Int

        init(_ limits: BufferLimits, maximumSize: Int, _ random: SeededGenerator) {
            buffer = Buffer(NumberBuilder(maximumSize: maximumSize), limits: limits)
            window = limits.window
            self.random = random
        }

        mutating func makeEvents(_ count: Int) -> [Int] {
            defer { nextEvent += count }
            return Array(nextEvent..<(nextEvent + count))
        }

        mutating func perform(_ actions: [Buffer.Action]) {
            for action in actions {
                switch action {
                case .transmit(let batch, let ticket):
                    #expect(!isOver)
                    flying.append((batch, ticket))
                    #expect(flying.count <= window)
                case .settled(let batch, let events, let failure):
                    #expect(events == batch.count)
                    for event in batch {
                        // Exactly once, in the order of taking.
                        #expect(told.count < taken.count && taken[told.count] == event)
                        told.append(event)
                        if failure != nil {
                            #expect(isOver || mayFail.contains(event))
                            failed.insert(event)
                        } else {
                            #expect(arrived.contains(event))
                        }
                    }
                    untold.append(events)
                case .ended(let id, let end):
                    let waiter = waiting.removeValue(forKey: id)
                    #expect(waiter != nil)
                    ended += 1
                    switch end {
                    case .taken: taken += waiter?.events ?? []
                    case .timedOut: #expect((waiter?.deadline).map { $0 <= now } ?? false)
                    case .closed: #expect(buffer.isClosed)
                    case .cancelled, .failed: Issue.record("\(end)")
                    }
                case .flushed(let id):
                    let mark = flushes.removeValue(forKey: id)
                    #expect(mark.map { $0 <= told.count - untold.reduce(0, +) } ?? false)
                }
            }
        }

        /// An `ended` may come before or behind the results of its own events: first what was taken, then what became
        /// of it.
        mutating func performInOrder(_ actions: [Buffer.Action]) {
            var first: [Buffer.Action] = []
            var rest: [Buffer.Action] = []
            for action in actions {
                if case .ended = action { first.append(action) } else { rest.append(action) }
            }
            perform(first)
            perform(rest)
        }

        mutating func add() {
            let event = makeEvents(1)
            let size = Int.random(in: 1...3, using: &random)
            var actions: [Buffer.Action] = []
            let isFull = buffer.count >= buffer.limits.maximumEvents
            let time = now
            do throws(Failure) {
                switch try buffer.add(.init(number: event[0], size: size), now: time, &actions) {
                case .taken:
                    #expect(!isFull)
                    taken += event
                case .full: #expect(!buffer.isClosed)
                case .closed: #expect(buffer.isClosed)
                }
            } catch {
                Issue.record("\(error)")
            }
            performInOrder(actions)
        }

        mutating func enqueue(_ events: [Int], isBatch: Bool, deadline: Duration?) {
            let id = nextID
            nextID += 1
            let end = deadline.map { now.advanced(by: $0) }
            waiting[id] = (events, end)
            let item: BufferItem<NumberBuilder> =
                isBatch
                ? .batch(WholeBatch(events, events: events.count, bytes: events.count))
                : .event(.init(number: events[0]))
            var actions: [Buffer.Action] = []
            buffer.enqueue(item, id: id, deadline: end, now: now, &actions)
            performInOrder(actions)
        }

        /// The service answers one of the transmissions.
        mutating func answer(kindly: Bool) {
            guard !flying.isEmpty else { return }
            let pick = window == 1 ? 0 : Int.random(in: 0..<flying.count, using: &random)
            let (batch, ticket) = flying.remove(at: pick)
            // One that may have several in flight refuses what does not follow what it has.
            let before = taken[told.count...].prefix { $0 != batch[0] }
            let follows = before.allSatisfy { arrived.contains($0) || refused.contains($0) }
            var end = AttemptEnd<Failure>.accepted
            var arrives = follows
            switch kindly ? 9 : Int.random(in: 0..<10, using: &random) {
            case 0: (end, arrives) = (.failed(.refused("down"), .retriable()), false)
            case 1: (end, arrives) = (.failed(.refused("busy"), .throttled(after: .seconds(4))), false)
            case 2: (end, arrives) = (.failed(.lost, .unknown), false)
            case 3: end = .failed(.lost, .unknown)
            case 4 where follows:
                (end, arrives) = (.failed(.refused("no"), .permanent), false)
                refused.formUnion(batch)
            default: if !follows { end = .failed(.refused("sequence"), .retriable()) }
            }
            if case .failed = end { mayFail.formUnion(batch) }
            if arrives {
                received += batch.filter { !arrived.contains($0) }
                arrived.formUnion(batch)
            }
            var actions: [Buffer.Action] = []
            buffer.finished(ticket, end, now: now, using: &random, &actions)
            performInOrder(actions)
        }

        mutating func tell() {
            guard !untold.isEmpty else { return }
            var actions: [Buffer.Action] = []
            buffer.told(untold.removeFirst(), now: now, &actions)
            performInOrder(actions)
        }

        mutating func pass(_ time: Duration) {
            let end = now.advanced(by: time)
            while let deadline = buffer.deadline, deadline <= end {
                now = max(now, deadline)
                var actions: [Buffer.Action] = []
                buffer.timeReached(now: now, &actions)
                performInOrder(actions)
                // No alarm stays due: a runner would spin.
                #expect(buffer.deadline.map { $0 > now } ?? true)
            }
            now = end
        }

        mutating func flush() {
            let id = nextID
            nextID += 1
            flushes[id] = taken.count
            var actions: [Buffer.Action] = []
            buffer.flush(id: id, now: now, &actions)
            performInOrder(actions)
        }

        mutating func cancelSomething() {
            var actions: [Buffer.Action] = []
            if let id = waiting.keys.randomElement(using: &random) {
                #expect(buffer.cancelWait(id: id, now: now, &actions))
                waiting[id] = nil
            }
            if let id = flushes.keys.randomElement(using: &random), Bool.random(using: &random) {
                buffer.cancelFlush(id: id)
                flushes[id] = nil
            }
            performInOrder(actions)
        }

        mutating func abandon(writesOff: Bool) {
            isOver = true
            var actions: [Buffer.Action] = []
            buffer.abandon(.abandoned, writingOff: writesOff ? .lost : nil, now: now, &actions)
            performInOrder(actions)
        }

        mutating func close() {
            var actions: [Buffer.Action] = []
            buffer.close(&actions)
            performInOrder(actions)
            #expect(waiting.isEmpty)
        }
    }

    @Test(arguments: [1, 3])
    func everyEventGetsExactlyOneResultInOrderWhateverHappens(window: Int) throws {
        for var generator in [SeededGenerator(seed: UInt64(10 + window)), .fresh("buffer model")] {
            for _ in 0..<120 {
                let maximum = Int.random(in: 1...12, using: &generator)
                let limits = BufferLimits(
                    maximumEvents: maximum, maximumBytes: Int.random(in: 3...40, using: &generator),
                    maximumWait: Bool.random(using: &generator)
                        ? nil : .milliseconds(Int.random(in: 0...2000, using: &generator)),
                    eagerSize: Int.random(in: 1...20, using: &generator), window: window,
                    retry: RetryPolicy(first: .milliseconds(100), cap: .seconds(5)),
                    maximumRetries: Bool.random(using: &generator) ? nil : Int.random(in: 0...3, using: &generator))
                var model = Model(limits, maximumSize: Int.random(in: 3...8, using: &generator), generator)
                _ = generator.next()
                var largest = 0
                for _ in 0..<Int.random(in: 10...150, using: &generator) {
                    switch Int.random(in: 0..<12, using: &generator) {
                    case 0...3: model.add()
                    case 4:
                        let events = model.makeEvents(1)
                        let wait = Int.random(in: 0...4000, using: &generator)
                        model.enqueue(events, isBatch: false, deadline: wait < 1000 ? nil : .milliseconds(wait))
                    case 5:
                        let events = model.makeEvents(Int.random(in: 1...(maximum + 3), using: &generator))
                        largest = max(largest, events.count)
                        model.enqueue(events, isBatch: true, deadline: nil)
                    case 6, 7: model.answer(kindly: false)
                    case 8, 9: model.tell()
                    case 10: model.pass(.milliseconds(Int.random(in: 0...3000, using: &generator)))
                    default:
                        if Int.random(in: 0..<3, using: &generator) == 0 {
                            model.cancelSomething()
                        } else {
                            model.flush()
                        }
                    }
                    #expect(model.buffer.count <= max(maximum, largest))
                    #expect(model.buffer.count == model.taken.count - model.told.count + model.untold.reduce(0, +))
                }
                // Then it ends: all sent by a service that is kind again, or given up.
                switch Int.random(in: 0..<3, using: &generator) {
                case 0:
                    model.flush()
                    var steps = 0
                    while model.buffer.count > 0 || !model.waiting.isEmpty {
                        steps += 1
                        try #require(steps < 1000)
                        model.answer(kindly: true)
                        model.tell()
                        model.flush()
                        model.pass(.seconds(1))
                    }
                    #expect(model.flushes.isEmpty)
                    model.close()
                case 1:
                    model.close()
                    model.abandon(writesOff: false)
                    while !model.flying.isEmpty { model.answer(kindly: false) }
                default: model.abandon(writesOff: true)
                }
                while !model.untold.isEmpty { model.tell() }
                #expect(model.told == model.taken)
                #expect(model.buffer.count == 0 && model.waiting.isEmpty && model.flushes.isEmpty)
                #expect(model.buffer.bytes == 0 && model.buffer.deadline == nil)
                // Nothing reached the service before what was taken before it, unless that failed.
                #expect(model.received == model.taken.filter(model.arrived.contains))
            }
        }
    }
}
