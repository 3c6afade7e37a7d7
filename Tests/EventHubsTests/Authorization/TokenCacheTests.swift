import Glibc
import Synchronization
import TestSupport
import Testing
import Transports

@testable import EventHubs

@Suite struct TokenCacheTests {
    private static let start = ContinuousClock.now
    private static let wall: Int64 = 1_700_000_000

    private func token(_ value: String, lives seconds: Int64, refreshIn: Int64? = nil, at now: Int64 = wall)
        -> EventHubsToken
    {
        EventHubsToken(value, expiry: now + seconds, refreshAfter: refreshIn.map { now + $0 })
    }

    private func after(_ seconds: Int) -> ContinuousClock.Instant { Self.start + .seconds(seconds) }

    // MARK: The machine

    @Test func theFirstAskerFetchesAndTheOthersWait() {
        var machine = TokenCacheMachine<EventHubsToken>()
        guard case .fetch = machine.ask(Self.start), case .wait = machine.ask(Self.start) else {
            Issue.record("not one fetch")
            return
        }
        _ = machine.fetched(token("a", lives: 3600), Self.start, wallClock: Self.wall, jitter: 0)
        guard case .use(let held) = machine.ask(after(3299)) else {
            Issue.record("not used")
            return
        }
        #expect(held.token.value == "a")
    }

    @Test func aTokenIsRefreshedInTheBackgroundFiveMinutesBeforeItsEnd() {
        var machine = TokenCacheMachine<EventHubsToken>()
        _ = machine.ask(Self.start)
        _ = machine.fetched(token("a", lives: 3600), Self.start, wallClock: Self.wall, jitter: 0)
        guard case .useAndFetch(let held) = machine.ask(after(3300)), case .use = machine.ask(after(3301)),
            case .wait = machine.ask(after(3302), renewing: true)
        else {
            Issue.record("no background refresh")
            return
        }
        #expect(held.token.value == "a")
        _ = machine.fetched(
            token("b", lives: 3600, at: Self.wall + 3303), after(3303), wallClock: Self.wall + 3303, jitter: 0)
        guard case .use(let next) = machine.ask(after(3304)) else {
            Issue.record("the new one is not used")
            return
        }
        #expect(next.token.value == "b")
    }

    @Test func theIssuersRefreshTimeIsHonoured() {
        var machine = TokenCacheMachine<EventHubsToken>()
        _ = machine.ask(Self.start)
        _ = machine.fetched(token("a", lives: 86400, refreshIn: 43200), Self.start, wallClock: Self.wall, jitter: 0)
        guard case .use = machine.ask(after(43199)), case .useAndFetch = machine.ask(after(43200)) else {
            Issue.record("refresh_in is not honoured")
            return
        }
    }

    @Test func aFailedRefreshKeepsTheOldTokenAndIsTriedAgainAfterThirtySeconds() {
        var machine = TokenCacheMachine<EventHubsToken>()
        _ = machine.ask(Self.start)
        _ = machine.fetched(token("a", lives: 3600), Self.start, wallClock: Self.wall, jitter: 0)
        _ = machine.ask(after(3310))
        #expect(machine.failed(after(3311))?.token.value == "a")
        guard case .use = machine.ask(after(3340), renewing: true), case .useAndFetch = machine.ask(after(3342)) else {
            Issue.record("not spaced by 30 s")
            return
        }
        // What has ended is of no use, whatever a refresh says.
        #expect(machine.failed(after(3600)) == nil)
        guard case .fetch = machine.ask(after(3600)) else {
            Issue.record("an ended token was used")
            return
        }
    }

    @Test func aShortTokenIsRefreshedHalfway() {
        var machine = TokenCacheMachine<EventHubsToken>()
        _ = machine.ask(Self.start)
        let held = machine.fetched(token("a", lives: 10), Self.start, wallClock: Self.wall, jitter: 0)
        #expect(held.refresh == after(5))
        #expect(held.expires == after(8))
    }

    @Test func aTokenThatIsDueAtOnceIsNotAskedForWithoutEnd() {
        var machine = TokenCacheMachine<EventHubsToken>()
        _ = machine.ask(Self.start)
        _ = machine.fetched(token("a", lives: 3600, refreshIn: -5), Self.start, wallClock: Self.wall, jitter: 1)
        guard case .use = machine.ask(after(29)), case .useAndFetch = machine.ask(after(30)) else {
            Issue.record("asked without end, or never")
            return
        }
    }

    @Test func jitterOnlyMakesTheRefreshEarlierAndByThirtySecondsAtMost() {
        for var generator in [SeededGenerator(seed: 3), .fresh("token jitter")] {
            for _ in 0..<500 {
                var machine = TokenCacheMachine<EventHubsToken>()
                let lives = Int64.random(in: 1...100_000, using: &generator)
                let jitter = Double.random(in: 0...1, using: &generator)
                let held = machine.fetched(token("a", lives: lives), Self.start, wallClock: Self.wall, jitter: jitter)
                var plain = TokenCacheMachine<EventHubsToken>()
                let latest = plain.fetched(token("a", lives: lives), Self.start, wallClock: Self.wall, jitter: 0)
                    .refresh
                #expect(held.refresh <= latest && held.refresh >= latest - .seconds(30))
                #expect(held.refresh < held.expires && held.refresh > Self.start)
            }
        }
    }

    @Test func aRefusedTokenIsNotUsedAgain() {
        var machine = TokenCacheMachine<EventHubsToken>()
        _ = machine.ask(Self.start)
        _ = machine.fetched(token("a", lives: 3600), Self.start, wallClock: Self.wall, jitter: 0)
        machine.refused("another")
        guard case .use = machine.ask(Self.start) else {
            Issue.record("the wrong token was dropped")
            return
        }
        machine.refused("a")
        guard case .fetch = machine.ask(Self.start) else {
            Issue.record("used again")
            return
        }
    }

    // MARK: The cache

    /// A provider whose answers a test lets go one by one.
    private final class Gate: EventHubsTokenProvider {
        private struct State {
            var asked: [String] = []
            var waiting: [CheckedContinuation<EventHubsToken, any Error>] = []
        }

        private let state = Mutex(State())
        var asked: [String] { state.withLock { $0.asked } }

        func token(scope: String) async throws -> EventHubsToken {
            try await withCheckedThrowingContinuation { continuation in
                state.withLock {
                    $0.asked.append(scope)
                    $0.waiting.append(continuation)
                }
            }
        }

        /// Waits until somebody asks, and answers.
        func answer(_ result: Result<EventHubsToken, any Error>) async throws {
            while true {
                let next = state.withLock { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }
                if let next { return next.resume(with: result) }
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }

    private var now: Int64 { Int64(time(nil)) }

    @Test func ahundredAskersMakeOneRequest() async throws {
        let gate = Gate()
        let cache = EventHubsTokenCache(gate)
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<100 { group.addTask { try await cache.token(scope: "s").token.value } }
            try await gate.answer(.success(EventHubsToken("t0ken", expiry: now + 3600)))
            for try await value in group { #expect(value == "t0ken") }
        }
        #expect(gate.asked == ["s"])
        // Another scope has a token of its own.
        async let other = cache.token(scope: "other")
        try await gate.answer(.success(EventHubsToken("0ther", expiry: now + 3600)))
        #expect(try await other.token.value == "0ther")
        #expect(try await cache.token(scope: "s").token.value == "t0ken")
        #expect(gate.asked == ["s", "other"])
    }

    @Test func whoGivesUpLeavesTheOthersWaiting() async throws {
        let gate = Gate()
        let cache = EventHubsTokenCache(gate)
        let stays = Task { try await cache.token(scope: "s").token.value }
        while gate.asked.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
        let goes = Task { try await cache.token(scope: "s").token.value }
        goes.cancel()
        await #expect(throws: CancellationError.self) { try await goes.value }
        try await gate.answer(.success(EventHubsToken("t0ken", expiry: now + 3600)))
        #expect(try await stays.value == "t0ken")
        #expect(gate.asked.count == 1)
    }

    @Test func aFailureIsToldToAllWhoWaitAndTheNextAskerTriesAgain() async throws {
        struct Odd: Error {}
        let gate = Gate()
        let cache = EventHubsTokenCache(gate)
        let asker = Task { try await cache.token(scope: "s") }
        try await gate.answer(.failure(Odd()))
        let error = await #expect(throws: EventHubsError.self) { try await asker.value }
        #expect(error?.code == .connectFailed)
        #expect(error?.message.contains("Odd") == true)
        let second = Task { try await cache.token(scope: "s") }
        try await gate.answer(.failure(EventHubsError(.unauthorized, "the vault is sealed")))
        #expect(await #expect(throws: EventHubsError.self) { try await second.value }?.message == "the vault is sealed")
    }

    @Test func aProviderThatNeverAnswersIsGivenUpAndAskedAgain() async throws {
        let gate = Gate()
        let cache = EventHubsTokenCache(gate, fetchLimit: .milliseconds(20))
        let error = await #expect(throws: EventHubsError.self) { try await cache.token(scope: "s") }
        #expect(error?.code == .timeout)
        #expect(error?.message.contains("Gate") == true)
        // The answer that comes after all is not taken for the next one's.
        let next = Task { try await cache.token(scope: "s") }
        while gate.asked.count < 2 { try await Task.sleep(for: .milliseconds(1)) }
        try await gate.answer(.success(EventHubsToken("late", expiry: now + 3600)))
        await #expect(throws: EventHubsError.self) { try await next.value }
        try await gate.answer(.success(EventHubsToken("later", expiry: now + 3600)))
    }

    @Test func whatCannotBeATokenIsRefused() async throws {
        struct Fixed: EventHubsTokenProvider {
            let token: EventHubsToken
            func token(scope: String) async throws -> EventHubsToken { token }
        }
        for value in ["", "two words", "line\nbreak", "ümlaut"] {
            let cache = EventHubsTokenCache(Fixed(token: EventHubsToken(value, expiry: now + 3600)))
            await #expect(throws: EventHubsError.self) { try await cache.token(scope: "s") }
        }
        let ended = EventHubsTokenCache(Fixed(token: EventHubsToken("c4nary", expiry: now - 10)))
        let error = await #expect(throws: EventHubsError.self) { try await ended.token(scope: "s") }
        #expect(error?.message.contains("check both") == true)
        #expect(error?.message.contains("c4nary") == false)
    }
}
