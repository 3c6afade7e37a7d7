import Synchronization
package import TailraceInputs
package import TailraceSpool

/// What an input's configuration does to its batches on their way into the spool: filters, and fields for each record.
///
/// Threads of one input take turns, batch by batch.
package final class InputFilter: Sendable {
    private struct State {
        var filter: RecordFilter?
        /// Contexts with the fields, by those without: made once per source.
        var contexts: [[UInt8]: [UInt8]] = [:]
    }
    private let state: Mutex<State>
    /// As of the last batch: nobody who asks waits for one that is being filtered.
    private let published = Mutex(RecordFilterCounts())
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

    package var counts: RecordFilterCounts { published.withLock { $0 } }

    package func apply(to batch: RecordBatch) {
        state.withLock { state in
            state.filter?.apply(to: batch)
            if let counts = state.filter?.counts { published.withLock { $0 = counts } }
            guard !fields.isEmpty else { return }
            batch.context = context(batch.context, &state)
            for section in batch.sections.indices {
                batch.sections[section].context = context(batch.sections[section].context, &state)
            }
        }
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
