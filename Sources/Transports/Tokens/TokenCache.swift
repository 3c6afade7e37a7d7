import Glibc
import Synchronization

/// Why a cache has no token to give; whoever owns the cache says it in errors of its own.
package enum TokenFailure: Error {
    /// More scopes than are kept.
    case tooManyScopes(limit: Int)
    /// Nothing came within this time.
    case timeout(Duration)
    /// The provider threw this.
    case provider(any Error)
    /// What came has bytes that no token has, or none at all.
    case notAToken
    /// What came had ended before.
    case ended(expiry: Int64, now: Int64)
}

/// Keeps the tokens of a provider, one per scope, and asks for each once however many want it.
///
/// A fetch runs by itself: whoever waits for it may give up, and whoever comes later joins it.
package final class TokenCache<Token: CachedToken>: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    package typealias Held = TokenCacheMachine<Token>.Held
    package typealias Provider = @Sendable (_ scope: String) async throws -> Token
    private typealias Waiter = CheckedContinuation<Held, any Error>

    private struct Entry {
        var machine = TokenCacheMachine<Token>()
        /// Counts fetches; the answer to one that was given up is not taken.
        var fetch = 0
        var waiters: [Int: Waiter] = [:]
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var nextWaiter = 0
    }

    private let provider: Provider
    private let fetchLimit: Duration
    private let failure: @Sendable (TokenFailure) -> any Error
    private let state = Mutex(State())
    /// Of the provider; without secrets.
    package let description: String

    /// Scopes that are kept: a client uses one.
    private static var scopeLimit: Int { 16 }

    /// - Parameters:
    ///   - fetchLimit: for one fetch, with the provider's own retries.
    ///   - failure: what to throw.
    package init(
        _ description: String, fetchLimit: Duration = .seconds(120),
        failure: @escaping @Sendable (TokenFailure) -> any Error, provider: @escaping Provider
    ) {
        self.description = description
        self.fetchLimit = fetchLimit
        self.failure = failure
        self.provider = provider
    }

    /// A token that is good now.
    ///
    /// - Parameter renewing: wait for the next token when this one is due to be refreshed; the failure of that is
    ///   thrown even while the old one is good.
    /// - Throws: what `failure` makes, `CancellationError`.
    package func token(scope: String, renewing: Bool = false) async throws -> Held {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { ask(scope, renewing, $0, number) }
        } onCancel: {
            let waiter = state.withLock { $0.entries[scope]?.waiters.removeValue(forKey: number) }
            waiter?.resume(throwing: CancellationError())
        }
    }

    private enum Next {
        case use(Held)
        case useAndFetch(Held, Int)
        case fetch(Int)
        case wait
        case refuse(any Error)
    }

    private func ask(_ scope: String, _ renewing: Bool, _ waiter: Waiter, _ number: Int) {
        let next = state.withLock { state -> Next in
            if state.entries[scope] == nil {
                guard state.entries.count < Self.scopeLimit else {
                    return .refuse(failure(.tooManyScopes(limit: Self.scopeLimit)))
                }
                state.entries[scope] = Entry()
            }
            // The handler of a cancellation that came first found no waiter to end.
            if Task.isCancelled { return .refuse(CancellationError()) }
            switch state.entries[scope, default: Entry()].machine.ask(.now, renewing: renewing) {
            case .use(let held): return .use(held)
            case .useAndFetch(let held):
                state.entries[scope, default: Entry()].fetch += 1
                return .useAndFetch(held, state.entries[scope, default: Entry()].fetch)
            case .fetch:
                state.entries[scope, default: Entry()].fetch += 1
                state.entries[scope, default: Entry()].waiters[number] = waiter
                return .fetch(state.entries[scope, default: Entry()].fetch)
            case .wait:
                state.entries[scope, default: Entry()].waiters[number] = waiter
                return .wait
            }
        }
        switch next {
        case .use(let held): waiter.resume(returning: held)
        case .useAndFetch(let held, let fetch):
            waiter.resume(returning: held)
            start(scope, fetch)
        case .fetch(let fetch): start(scope, fetch)
        case .wait: break
        case .refuse(let error): waiter.resume(throwing: error)
        }
    }

    private func start(_ scope: String, _ fetch: Int) {
        let work = Task {
            let result: Result<Token, any Error>
            do {
                result = .success(try await self.provider(scope))
            } catch {
                result = .failure(error)
            }
            self.finish(scope, fetch, result)
        }
        // A provider that does not heed cancellation is left to itself.
        let limit = Task {
            try await Task.sleep(for: self.fetchLimit)
            work.cancel()
            self.finish(scope, fetch, .failure(TokenFailure.timeout(self.fetchLimit)))
        }
        Task {
            await work.value
            limit.cancel()
        }
    }

    private func finish(_ scope: String, _ fetch: Int, _ result: Result<Token, any Error>) {
        let (waiters, outcome) = state.withLock { state -> ([Waiter], Result<Held, any Error>) in
            guard var entry = state.entries[scope], entry.fetch == fetch else {
                return ([], .failure(CancellationError()))
            }
            // No other answer to this fetch counts.
            entry.fetch += 1
            let now = ContinuousClock.now
            let outcome: Result<Held, any Error>
            switch checked(result) {
            case .success(let token):
                let jitter = Double.random(in: 0...1)
                outcome = .success(entry.machine.fetched(token, now, wallClock: Int64(time(nil)), jitter: jitter))
            case .failure(let error):
                _ = entry.machine.failed(now)
                outcome = .failure(error)
            }
            let waiters = Array(entry.waiters.values)
            entry.waiters = [:]
            state.entries[scope] = entry
            return (waiters, outcome)
        }
        for waiter in waiters { waiter.resume(with: outcome) }
    }

    private func checked(_ result: Result<Token, any Error>) -> Result<Token, any Error> {
        switch result {
        case .failure(let error): return .failure(failure(error as? TokenFailure ?? .provider(error)))
        case .success(let token):
            guard !token.value.isEmpty, token.value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                return .failure(failure(.notAToken))
            }
            let now = Int64(time(nil))
            guard token.expiry > now else { return .failure(failure(.ended(expiry: token.expiry, now: now))) }
            return .success(token)
        }
    }

    /// The service does not take this token: the next one who asks gets another.
    package func refused(_ value: String, scope: String) {
        state.withLock { $0.entries[scope]?.machine.refused(value) }
    }

    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
