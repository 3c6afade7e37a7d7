internal import Pulsar
import Synchronization

/// Cuts connections at random SENDs, before or after the message is stored: for tests that run the broker as a process.
package final class RandomFaults: Sendable {
    private let every: Int
    private let state: Mutex<UInt64>

    /// - Parameters:
    ///   - every: one SEND of so many, on average; at least 1.
    ///   - seed: the same seed makes the same choices.
    package init(every: Int, seed: UInt64) {
        precondition(every > 0)
        self.every = every
        state = Mutex(seed)
    }

    package func fault(_ send: BrokerSend) -> SendFault? {
        let number = next()
        guard number % UInt64(every) == 0 else { return nil }
        switch next() % 4 {
        case 0: return .drop
        case 1: return .storeThenDrop
        case 2: return .closeProducer(assigned: nil)
        default: return .storeThenCloseProducer(assigned: nil)
        }
    }

    /// SplitMix64.
    private func next() -> UInt64 {
        state.withLock { state in
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }
}
