import Synchronization
package import TailraceInputs
package import TailraceSpool

/// What an input's configuration does to its batches on their way into the spool: filters, and fields for each record.
///
/// Threads of one input take turns, batch by batch.
package final class InputFilter: Sendable {
    private struct State {
        /// What is done from now on.
        var successor: InputFilter?
        var filter: RecordFilter?
        /// Contexts with the fields, by those without: made once per source.
        var contexts: [[UInt8]: [UInt8]] = [:]
    }
    private let state: Mutex<State>
    /// As of the last batch: nobody who asks waits for one that is being filtered.
    private let published = Mutex(RecordFilterCounts())
    /// Of the filters that this one came after.
    private let past = Mutex(RecordFilterCounts())
    private let fields: [RecordContext.Field]
    /// Contexts remembered at most; beyond, all are forgotten and made again.
    private static let contextLimit = 4096

    /// Nil when everything goes along as it is.
    package init?(_ input: InputSettings) {
        guard !input.filter.isEmpty || !input.fields.isEmpty else { return nil }
        fields = input.fields
        let (rules, name) = (input.filter, input.name)
        state = Mutex(State(filter: rules.isEmpty ? nil : RecordFilter(rules, name: name)))
    }

    /// Does nothing: it comes after one that did.
    init() {
        fields = []
        state = Mutex(State(filter: nil))
    }

    /// With those of the filters before it.
    package var counts: RecordFilterCounts {
        let past = past.withLock { $0 }
        return published.withLock { $0 } + past
    }

    /// Takes the place of another, and takes over what it has counted: a batch that it still gets goes through this one.
    func goOn(from other: InputFilter) {
        let counts = other.state.withLock { state in
            state.successor = self
            return other.counts
        }
        past.withLock { $0 = counts }
    }

    package func apply(to batch: RecordBatch) {
        let successor = state.withLock { state -> InputFilter? in
            if let successor = state.successor { return successor }
            state.filter?.apply(to: batch)
            if let counts = state.filter?.counts { published.withLock { $0 = counts } }
            guard !fields.isEmpty else { return nil }
            batch.context = context(batch.context, &state)
            for section in batch.sections.indices {
                batch.sections[section].context = context(batch.sections[section].context, &state)
            }
            return nil
        }
        successor?.apply(to: batch)
    }

    private func context(_ bytes: [UInt8], _ state: inout State) -> [UInt8] {
        if let known = state.contexts[bytes] { return known }
        guard var context = bytes.withUnsafeBytes({ RecordContext(decoding: $0) }) else { return bytes }
        context.fields += fields
        let encoded = context.encoded
        if state.contexts.count >= Self.contextLimit { state.contexts.removeAll(keepingCapacity: true) }
        state.contexts[bytes] = encoded
        return encoded
    }
}
