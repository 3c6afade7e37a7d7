import Synchronization

/// Whether the brokers deduplicate what an output sends. They do not say: it shows when a producer is opened under a name
/// that has sent before, by whether they know what.
final class PulsarGuarantee: Sendable {
    private enum State {
        /// Nothing was acknowledged yet, or nobody has asked since.
        case unknown
        /// A producer is being opened again to find out.
        case asking
        case on
        case off
    }
    private let state: Mutex<State>
    private let producerName: String

    /// - Parameter isOn: a broker has told what it has.
    init(producerName: String, isOn: Bool) {
        self.producerName = producerName
        state = Mutex(isOn ? .on : .unknown)
    }

    /// True for the one who is to find out.
    func beginAsking() -> Bool {
        state.withLock { state in
            guard case .unknown = state else { return false }
            state = .asking
            return true
        }
    }

    /// - Parameter isOn: nil: it could not be found out this time.
    func endAsking(_ isOn: Bool?) {
        state.withLock { $0 = isOn.map { $0 ? .on : .off } ?? .unknown }
    }

    /// They do, as far as is known.
    var isOn: Bool { state.withLock { if case .on = $0 { true } else { false } } }

    var text: String {
        switch state.withLock({ $0 }) {
        case .unknown, .asking:
            "at least once so far: whether the brokers deduplicate shows after the first acknowledged batch"
        case .on: "exactly once: the brokers deduplicate what the producer \(producerName) sends"
        case .off:
            "at least once: the brokers do not deduplicate (brokerDeduplicationEnabled, or set-deduplication for namespace"
                + " or topic); duplicates only among batches in flight"
        }
    }
}
