import Producing
import Synchronization
import TestSupport
import Testing

/// When batches go, one partition.
@Suite struct BufferingTests {
    private typealias Failure = NumberBuilder.Failure
    private typealias Incomplete = BufferedProducer<NumberBuilder, HandBufferedService>.Incomplete

    // MARK: Sealing

    @Test func anEventThatDoesNotFitSendsTheBatchBeforeIt() throws {
        let numbers = NumberProducer(maximumSize: 3)
        for number in 1...4 { #expect(try numbers.add(number)) }
        #expect(numbers.service.take().map(\.batch) == [[1, 2, 3]])
    }

    @Test func theOldestEventWaitsNoLongerThanTheMaximum() throws {
        let numbers = NumberProducer(BufferLimits(maximumWait: .seconds(1)))
        try numbers.add(1)
        numbers.timer.advance(by: .milliseconds(900))
        try numbers.add(2)
        #expect(numbers.service.take().isEmpty)
        numbers.timer.advance(by: .milliseconds(100))
        #expect(numbers.service.take().map(\.batch) == [[1, 2]])
        // The next batch counts from its own first event.
        try numbers.add(3)
        numbers.timer.advance(by: .milliseconds(999))
        #expect(numbers.service.take().isEmpty)
    }

    @Test func withoutAMaximumWaitOnlyFullBatchesAndFlushesGo() async throws {
        let numbers = NumberProducer(BufferLimits(maximumWait: nil))
        try numbers.add(1)
        numbers.timer.advance(by: .seconds(100_000))
        #expect(numbers.service.take().isEmpty)
        async let flush: Void = numbers.producer.flush(deadline: nil)
        let sent = await one(numbers.service)
        #expect(sent.batch == [1])
        sent.completion(.accepted)
        try await flush
    }

    @Test func theLimitOfEventsSendsAtOnce() throws {
        let numbers = NumberProducer(BufferLimits(maximumEvents: 3))
        for number in 1...3 { #expect(try numbers.add(number)) }
        let sent = numbers.service.take()
        #expect(sent.map(\.batch) == [[1, 2, 3]])
        #expect(try !numbers.add(4))
        #expect(numbers.producer.count == 3)
        sent[0].completion(.accepted)
        #expect(numbers.producer.count == 0)
        #expect(try numbers.add(4))
    }

    @Test func theLimitOfBytesHoldsEventsBack() throws {
        let numbers = NumberProducer(maximumSize: 10, BufferLimits(maximumBytes: 15))
        for number in 1...3 { #expect(try numbers.add(number, size: 6)) }
        #expect(try !numbers.add(4, size: 6))
        let sent = numbers.service.take()
        #expect(sent.map(\.batch) == [[1]])
        sent[0].completion(.accepted)
        #expect(try numbers.add(4, size: 6))
    }

    @Test func aLargeBatchDoesNotWaitForAnIdleLane() throws {
        let numbers = NumberProducer(maximumSize: 100, BufferLimits(eagerSize: 5))
        for number in 1...4 { try numbers.add(number) }
        #expect(numbers.service.take().isEmpty)
        try numbers.add(5)
        let first = numbers.service.take()
        #expect(first.map(\.batch) == [[1, 2, 3, 4, 5]])
        // While it is under way the next one grows, beyond that size.
        for number in 6...13 { try numbers.add(number) }
        #expect(numbers.service.take().isEmpty)
        first[0].completion(.accepted)
        #expect(numbers.service.take().map(\.batch) == [Array(6...13)])
    }

    @Test func aBatchThatTakesNoMoreGoesAtOnce() throws {
        let numbers = NumberProducer(maximumSize: 100, maximumCount: 3, BufferLimits(maximumWait: nil))
        for number in 1...2 { try numbers.add(number) }
        #expect(numbers.service.take().isEmpty)
        try numbers.add(3)
        let first = numbers.service.take()
        #expect(first.map(\.batch) == [[1, 2, 3]])
        for number in 4...6 { try numbers.add(number) }
        #expect(numbers.service.take().isEmpty)
        first[0].completion(.accepted)
        #expect(numbers.service.take().map(\.batch) == [[4, 5, 6]])
    }

    @Test func anEventLargerThanAnyBatchIsTheCallersError() throws {
        let numbers = NumberProducer(maximumSize: 3)
        try numbers.add(1)
        #expect(throws: Failure.tooLarge) { try numbers.add(2, size: 4) }
        #expect(throws: Failure.refused("negative")) { try numbers.add(-1) }
        #expect(numbers.producer.count == 1)
        for sent in numbers.service.take() { sent.completion(.accepted) }
        numbers.timer.advance(by: .seconds(1))
        for sent in numbers.service.take() { sent.completion(.accepted) }
        #expect(numbers.results == [.init(partition: 0, batch: [1], failure: nil)])
    }

    @Test func aWholeBatchStaysWholeAndInItsPlace() async throws {
        let numbers = NumberProducer(BufferLimits(maximumEvents: 5))
        try numbers.add(1)
        let whole = BufferItem<NumberBuilder>.batch(WholeBatch([2, 3], events: 2, bytes: 2))
        guard case .taken = await numbers.producer.partition(0).enqueue(whole, deadline: nil) else {
            Issue.record("not taken")
            return
        }
        try numbers.add(4)
        numbers.timer.advance(by: .seconds(2))
        var sent: [[Int]] = []
        while sent.count < 3 {
            for one in numbers.service.take() {
                sent.append(one.batch)
                one.completion(.accepted)
            }
        }
        #expect(sent == [[1], [2, 3], [4]])
    }

    // MARK: Waiting for room

    private func one(_ service: HandBufferedService) async -> HandBufferedService.Sent {
        while true {
            if let sent = service.take().first { return sent }
            await Task.yield()
        }
    }

    @Test func whoWaitsForRoomComesInTurn() async throws {
        let numbers = NumberProducer(BufferLimits(maximumEvents: 2))
        try numbers.add(1)
        try numbers.add(2)
        let partition = numbers.producer.partition(0)
        var tasks: [Task<WaitEnd<Failure>, Never>] = []
        for number in 3...5 {
            tasks.append(Task { await partition.enqueue(.event(.init(number: number)), deadline: nil) })
            while partition.waiting < number - 2 { await Task.yield() }
        }
        // Whoever comes now does not overtake them.
        #expect(try !numbers.add(6))
        for _ in 0..<2 { await one(numbers.service).completion(.accepted) }
        numbers.timer.advance(by: .seconds(1))
        for task in tasks {
            guard case .taken = await task.value else {
                Issue.record("not taken")
                return
            }
        }
        for sent in numbers.service.take() { sent.completion(.accepted) }
        #expect(numbers.results.flatMap(\.batch).prefix(5) == [1, 2, 3, 4, 5])
    }

    @Test func theWaitForRoomEndsAtItsDeadlineOrWithItsTask() async throws {
        let numbers = NumberProducer(BufferLimits(maximumEvents: 1))
        try numbers.add(1)
        let partition = numbers.producer.partition(0)
        let deadline = numbers.timer.now.advanced(by: .seconds(3))
        let late = Task { await partition.enqueue(.event(.init(number: 2)), deadline: deadline) }
        while partition.waiting < 1 { await Task.yield() }
        let cancelled = Task { await partition.enqueue(.event(.init(number: 3)), deadline: nil) }
        while partition.waiting < 2 { await Task.yield() }
        cancelled.cancel()
        guard case .cancelled = await cancelled.value else {
            Issue.record("not cancelled")
            return
        }
        numbers.timer.advance(by: .seconds(3))
        guard case .timedOut = await late.value else {
            Issue.record("not timed out")
            return
        }
        let closed = Task { await partition.enqueue(.event(.init(number: 4)), deadline: nil) }
        while partition.waiting < 1 { await Task.yield() }
        numbers.producer.close()
        guard case .closed = await closed.value, case .closed = try partition.add(.init(number: 5)) else {
            Issue.record("not closed")
            return
        }
        // A task that was cancelled before it came does not wait at all.
        let before = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await partition.enqueue(.event(.init(number: 6)), deadline: nil)
        }
        guard case .cancelled = await before.value else {
            Issue.record("not cancelled")
            return
        }
        #expect(numbers.producer.count == 1)
    }

    // MARK: Results

    @Test func callbacksComeOneByOneAndMayEnqueue() async throws {
        let seen = Mutex<[Int]>([])
        let inside = Mutex(0)
        let enqueue = Mutex<(@Sendable (Int) -> Void)?>(nil)
        let numbers = NumberProducer(maximumSize: 1) { result in
            let depth = inside.withLock {
                $0 += 1
                return $0
            }
            #expect(depth == 1)
            seen.withLock { $0 += result.batch }
            // Not under a lock: this would wait for ever.
            if let number = result.batch.first, number < 50 { enqueue.withLock { $0 }?(number + 50) }
            inside.withLock { $0 -= 1 }
        }
        numbers.service.answer { _ in .accepted }
        let partition = numbers.producer.partition(0)
        enqueue.withLock { $0 = { number in _ = try? partition.add(.init(number: number)) } }
        for number in 0..<50 { try numbers.add(number) }
        while numbers.producer.count > 0 {
            try await numbers.producer.flush(deadline: nil)
        }
        let all = seen.withLock { $0 }
        #expect(all.filter { $0 < 50 } == Array(0..<50))
        #expect(all.filter { $0 >= 50 } == Array(50..<100))
        #expect(numbers.results.map(\.batch) == all.map { [$0] })
    }

    @Test func eventsCountAsBufferedUntilTheirCallbackIsDone() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let isIn = Mutex(false)
        let isOpen = Mutex(false)
        let numbers = NumberProducer(BufferLimits(maximumEvents: 1)) { _ in
            isIn.withLock { $0 = true }
            while !isOpen.withLock({ $0 }) {}
            open.finish()
        }
        numbers.service.answer { _ in .accepted }
        try numbers.add(1)
        while !isIn.withLock({ $0 }) { await Task.yield() }
        #expect(try !numbers.add(2))
        #expect(numbers.producer.count == 1)
        isOpen.withLock { $0 = true }
        for await _ in gate {}
        try await numbers.producer.flush(deadline: nil)
        #expect(numbers.producer.count == 0)
    }

    // MARK: Flushing and closing

    @Test func aFlushCoversWhatCameBeforeItAndEndsAtItsDeadline() async throws {
        let numbers = NumberProducer(partitions: 2)
        try numbers.add(1, partition: 0)
        try numbers.add(2, partition: 1)
        let deadline = numbers.timer.now.advanced(by: .seconds(5))
        let flush = Task { () async -> [Int]? in
            do throws(Incomplete) {
                try await numbers.producer.flush(deadline: deadline)
                return nil
            } catch {
                #expect(!error.isCancelled)
                return error.left.map(\.partition)
            }
        }
        var sent: [HandBufferedService.Sent] = []
        while sent.count < 2 {
            sent += numbers.service.take()
            await Task.yield()
        }
        sent.first { $0.partition == 0 }?.completion(.accepted)
        while numbers.timer.next.map({ $0 > deadline }) ?? true { await Task.yield() }
        numbers.timer.advance(to: deadline)
        #expect(await flush.value == [1])
        // It goes on in the background.
        sent.first { $0.partition == 1 }?.completion(.accepted)
        #expect(numbers.producer.count == 0)
        try await numbers.producer.flush(deadline: nil)
    }

    @Test func aCancelledFlushEndsAndItsEventsStay() async throws {
        let numbers = NumberProducer()
        try numbers.add(1)
        let flush = Task { () async -> Bool? in
            do throws(Incomplete) {
                try await numbers.producer.flush(deadline: nil)
                return nil
            } catch {
                return error.isCancelled
            }
        }
        let sent = await one(numbers.service)
        flush.cancel()
        #expect(await flush.value == true)
        sent.completion(.accepted)
        #expect(numbers.results.count == 1)
    }

    @Test func whoGivesUpGetsAResultForEveryEvent() throws {
        let numbers = NumberProducer(maximumSize: 2, concurrent: 1)
        for number in 1...7 { try numbers.add(number) }
        let sent = numbers.service.take()
        #expect(sent.map(\.batch) == [[1, 2]])
        numbers.producer.abandon(.abandoned)
        // In order: what is in flight is told first.
        #expect(numbers.results.isEmpty)
        sent[0].completion(.failed(.refused("gone"), .retriable()))
        #expect(numbers.results.map(\.batch) == [[1, 2], [3, 4], [5, 6], [7]])
        #expect(numbers.results.map(\.failure) == [.refused("gone"), .abandoned, .abandoned, .abandoned])
        #expect(numbers.service.take().isEmpty && numbers.producer.count == 0)
    }

    @Test func whatIsInFlightCanBeWrittenOff() throws {
        let numbers = NumberProducer(partitions: 2, maximumSize: 2, concurrent: 1)
        for number in 1...4 { try numbers.add(number, partition: number % 2) }
        numbers.timer.advance(by: .seconds(1))
        let sent = numbers.service.take()
        #expect(sent.count == 1)
        numbers.producer.abandon(.abandoned, writingOff: .lost)
        #expect(numbers.results.count == 2 && numbers.results.allSatisfy { $0.failure == .lost })
        // Too late: it was told already. The other one had no slot yet, and does not reach the service any more.
        sent[0].completion(.accepted)
        #expect(numbers.results.count == 2 && numbers.service.take().isEmpty && numbers.producer.count == 0)
    }

    // MARK: Many partitions

    @Test func noMoreSendsThanAllowedAreUnderWayAndEveryPartitionHasItsTurn() throws {
        let numbers = NumberProducer(partitions: 4, maximumSize: 1, concurrent: 2)
        for number in 0..<20 { try numbers.add(number, partition: number % 4) }
        numbers.timer.advance(by: .seconds(1))
        var order: [Int] = []
        var underWay: [HandBufferedService.Sent] = []
        for _ in 0..<20 {
            underWay += numbers.service.take()
            #expect(underWay.count <= 2)
            let sent = underWay.removeFirst()
            order += sent.batch
            sent.completion(.accepted)
        }
        for partition in 0..<4 {
            let own = order.filter { $0 % 4 == partition }
            #expect(own == own.sorted())
        }
        #expect(Set(order.prefix(4).map { $0 % 4 }).count == 4)
        #expect(numbers.producer.count == 0)
    }
}
