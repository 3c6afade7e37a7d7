import Synchronization
internal import TailraceInputs
internal import TailraceSpool

/// An input on its thread, from start to stop.
final class InputRunner: RunningPart {
    /// Nil: the one that all file inputs share.
    let name: String?
    let input: any RunningInput
    let life = Life()
    private let gate: InputGate

    init(_ name: String?, _ input: any RunningInput, _ gate: InputGate) {
        self.name = name
        self.input = input
        self.gate = gate
    }

    var description: String { input.description }

    /// By progress: a thread that was started may still be busy with its first piece of work.
    var stage: Readiness.Stage {
        if life.hasEnded { return .ended }
        return input.marks.contains(where: \.hasDoneSomething) ? .runs : .begins
    }

    func start(_ ended: @escaping @Sendable (any Error) -> Void) {
        life.start("input") { [self] in
            input.run()
            guard !life.isStopping.load(ordering: .relaxed) else { return }
            ended(AgentError("the \(description) ended by themselves; look at the messages before this one"))
        }
    }

    func stop() {
        life.isStopping.store(true, ordering: .relaxed)
        input.stop()
    }

    /// The spool is not waited for any longer: what it has not taken is read again, where that is possible.
    func cutOff() { gate.close() }
}
