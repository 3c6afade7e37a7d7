import Glibc
internal import NIOCore
import Synchronization
internal import Transports

/// Keeps the tokens of a provider, one per scope, and asks for each once however many want it.
///
/// A fetch runs by itself: whoever waits for it may give up, and whoever comes later joins it.
package final class TokenCache: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    typealias Held = TokenCacheMachine.Held
    private typealias Waiter = CheckedContinuation<Held, any Error>

    private struct Entry {
        var machine = TokenCacheMachine()
        /// Counts fetches; the answer to one that was given up is not taken.
        var fetch = 0
        var waiters: [Int: Waiter] = [:]
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var nextWaiter = 0
    }

    private let provider: any EventHubsTokenProvider
    private let fetchLimit: Duration
    private let state = Mutex(State())

    /// Scopes that are kept: a client uses one.
    private static let scopeLimit = 16

    /// - Parameter fetchLimit: for one fetch, with the provider's own retries.
    package init(_ provider: any EventHubsTokenProvider, fetchLimit: Duration = .seconds(120)) {
        self.provider = provider
        self.fetchLimit = fetchLimit
    }

    /// A token that is good now.
    ///
    /// - Parameter renewing: wait for the next token when this one is due to be refreshed; the failure of that is
    ///   thrown even while the old one is good.
    /// - Throws: `EventHubsError`, `CancellationError`.
    func token(scope: String, renewing: Bool = false) async throws -> Held {
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
                    return .refuse(EventHubsError(.invalidArgument, "tokens for more than \(Self.scopeLimit) scopes"))
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
            let result: Result<EventHubsToken, any Error>
            do {
                result = .success(try await self.provider.token(scope: scope))
            } catch {
                result = .failure(error)
            }
            self.finish(scope, fetch, result)
        }
        // A provider that does not heed cancellation is left to itself.
        let limit = Task {
            try await Task.sleep(for: self.fetchLimit)
            work.cancel()
            let error = EventHubsError(
                .timeout, "getting a token from \(self): no answer within \(TimeAmount(self.fetchLimit).text)")
            self.finish(scope, fetch, .failure(error))
        }
        Task {
            await work.value
            limit.cancel()
        }
    }

    private func finish(_ scope: String, _ fetch: Int, _ result: Result<EventHubsToken, any Error>) {
        let (waiters, outcome) = state.withLock { state -> ([Waiter], Result<Held, any Error>) in
            guard var entry = state.entries[scope], entry.fetch == fetch else {
                return ([], .failure(CancellationError()))
            }
            // No other answer to this fetch counts.
            entry.fetch += 1
            let now = ContinuousClock.now
            let outcome: Result<Held, any Error>
            switch Self.checked(result) {
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

    private static func checked(_ result: Result<EventHubsToken, any Error>) -> Result<EventHubsToken, EventHubsError> {
        switch result {
        case .failure(let error as EventHubsError): return .failure(error)
        case .failure(let error):
            return .failure(EventHubsError(.connectFailed, "the token provider gave no token: \(error)"))
        case .success(let token):
            guard !token.value.isEmpty, token.value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                return .failure(
                    EventHubsError(.unauthorized, "the token provider gave something that cannot be a token"))
            }
            guard token.expiry > Int64(time(nil)) else {
                return .failure(
                    EventHubsError(
                        .connectFailed,
                        "the token provider gave a token that ended at \(UTCTime.text(token.expiry)); it is"
                            + " \(UTCTime.text(Int64(time(nil)))) by this machine's clock: check both"))
            }
            return .success(token)
        }
    }

    /// The service does not take this token: the next one who asks gets another.
    func refused(_ value: String, scope: String) { state.withLock { $0.entries[scope]?.machine.refused(value) } }

    /// A provider that does not describe itself would show what it holds.
    package var description: String {
        (provider as? any CustomStringConvertible)?.description ?? "\(type(of: provider))"
    }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
