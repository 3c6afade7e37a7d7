internal import NIOCore
import Synchronization

/// Told once what became of a message.
package typealias SendCompletion = @Sendable (Result<PulsarMessageID, PulsarError>) -> Void

/// A message on its way into a batch.
package struct OutgoingMessage: Sendable {
    let message: PulsarMessage
    let completion: SendCompletion?

    package init(_ message: PulsarMessage, completion: SendCompletion?) {
        self.message = message
        self.completion = completion
    }
}

/// Who waits for one message, if anybody does. A type of its own, because a list of functions wraps each function that goes
/// in or comes out: two allocations per message.
package struct SendWaiter: Sendable {
    let completion: SendCompletion?
}

/// What is sent at once, and who waits for it.
package final class OutgoingBatch: Sendable {
    /// Messages that have one frame, or several chunks of it.
    package struct Part: Sendable {
        /// None when it could not be encoded.
        let sends: [SealedSend]
        let messages: Int
        /// In batch layout: messages have a place in it.
        let isBatch: Bool
        /// Of each message, or none at all when nobody waits.
        let waiters: [SendWaiter]
        let failure: PulsarError?
    }

    /// One, and more with key-based batching.
    let parts: [Part]
    private let results: Mutex<[Result<SendPosition, PulsarError>?]>

    init(_ parts: [Part]) {
        self.parts = parts
        results = Mutex(parts.map { part in part.failure.map { .failure($0) } })
    }

    /// Notes what became of a part; the first word counts.
    func note(_ part: Int, _ result: Result<SendPosition, PulsarError>) {
        results.withLock { if $0[part] == nil { $0[part] = result } }
    }

    /// The first part that failed.
    var failure: PulsarError? {
        results.withLock { results in
            for case .failure(let error) in results { return error }
            return nil
        }
    }

    /// Calls everyone who waits. `failure`: of those parts that were never sent.
    func tell(partition: Int, failure: PulsarError?) {
        let results = results.withLock { $0 }
        for (part, result) in zip(parts, results) where !part.waiters.isEmpty {
            let unsent = failure ?? PulsarError(.unknown, "the batch was given up without a reason")
            switch result ?? .failure(unsent) {
            case .failure(let error): for waiter in part.waiters { waiter.completion?(.failure(error)) }
            case .success(let position):
                var id = PulsarMessageID(position, partition: partition)
                if part.isBatch, !position.isDuplicate { id.batchSize = part.messages }
                for (index, waiter) in part.waiters.enumerated() {
                    if part.isBatch, !position.isDuplicate { id.batchIndex = index }
                    waiter.completion?(.success(id))
                }
            }
        }
    }
}

extension PulsarMessageID {
    init(_ position: SendPosition, partition: Int) {
        self.init(
            ledgerID: position.ledgerID, entryID: position.entryID, partition: position.isDuplicate ? -1 : partition)
        if let ledger = position.firstLedgerID, let entry = position.firstEntryID {
            firstChunk = FirstChunk(ledgerID: ledger, entryID: entry)
        }
    }
}
