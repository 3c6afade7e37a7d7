internal import TailraceDelivery
internal import TailraceSpool

/// Where the encoders of outputs leave what they have taken out of the spool, for the balance of the inputs.
package protocol DeliveryAccount: AnyObject, Sendable {
    /// The number of an input, whether it is there now or not.
    func input(named name: String) -> Int?
    func note(first: UInt64, count: Int, input: Int)
}

extension DeliveryAccount {
    /// The input whose balance has the records of a context; nil also for those that went through one before: dead letters
    /// that are sent again.
    func input(of context: RecordContext) -> Int? { context.onlyOutput == nil ? input(named: context.input) : nil }

    /// Notes records of a run that went into a batch, from its first on.
    func note(_ run: RecordRun, _ count: Int, input: Int?) {
        guard count > 0, let input, let first = run.indices.first else { return }
        note(first: run[first].sequence, count: count, input: input)
    }
}
