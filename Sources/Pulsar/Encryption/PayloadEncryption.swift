internal import Logging
internal import NIOCore
import Synchronization

/// A producer's data key, which is renewed from time to time.
final class PayloadEncryption: Sendable {
    private struct State {
        var dataKey: DataKey?
        var renewal: Task<Void, Never>?
    }

    /// After a failed attempt to renew the data key.
    private static let retryInterval = Duration.seconds(60)

    private let options: PulsarEncryption
    private let timeout: TimeAmount
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter timeout: for the reader to give all keys.
    /// - Throws: `encryptionFailed` when the keys cannot be had, unless messages may go as they are.
    init(
        _ options: PulsarEncryption, timeout: TimeAmount, eventLoop: any EventLoop, logger: Logger
    ) async throws {
        self.options = options
        self.timeout = timeout
        self.eventLoop = eventLoop
        self.logger = logger
        var wait = options.dataKeyLifetime
        do {
            try await renew()
        } catch  where options.failureAction == .send && !(error is CancellationError) {
            logger.warning("messages go unencrypted until their keys can be had", metadata: ["error": "\(error)"])
            wait = min(wait, Self.retryInterval)
        }
        keepRenewing(after: wait)
    }

    deinit { state.withLock { $0.renewal }?.cancel() }

    /// Nil: there is none, and messages go as they are.
    var dataKey: DataKey? { state.withLock { $0.dataKey } }

    /// The new key takes the old one's place when it is complete, and not before: what is encrypted with a key can be read
    /// with what goes beside it.
    private func renew() async throws {
        let options = options
        let timeout = timeout
        let keys = Deadline.limit(timeout, on: eventLoop, executor: nil) {
            PulsarError(.encryptionFailed, "the reader of public keys gave nothing within \(timeout.text)")
        } work: {
            var keys: [(name: String, key: PulsarPublicKey)] = []
            for name in options.keyNames {
                do {
                    keys.append((name, try await options.keyReader.publicKey(named: name)))
                } catch {
                    throw error as? PulsarError
                        ?? PulsarError(.encryptionFailed, "the public key \"\(name)\" could not be had: \(error)")
                }
            }
            return keys
        }
        let dataKey = try DataKey(for: try await keys.get(), options.failureAction)
        state.withLock { $0.dataKey = dataKey }
    }

    private func keepRenewing(after wait: Duration) {
        let lifetime = options.dataKeyLifetime
        let task = Task { [weak self] in
            var wait = wait
            while (try? await Task.sleep(for: wait)) != nil {
                guard let self else { return }
                do {
                    try await renew()
                    wait = lifetime
                } catch {
                    logger.warning("the data key could not be renewed", metadata: ["error": "\(error)"])
                    wait = min(lifetime, Self.retryInterval)
                }
            }
        }
        state.withLock { $0.renewal = task }
    }
}
