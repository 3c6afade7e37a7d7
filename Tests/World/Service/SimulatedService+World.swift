import TailraceSpool

extension SimulatedService: WorldService {
    var isExact: Bool { kind != .plain }
    var effort: Int { 1 }

    func watch(_ events: any WorldEvents) {
        onFate = { [unowned events] fate, partition, batch in
            let first = batch.records.first?.id ?? 0
            events.note("service", first, UInt64(batch.records.count), "\(fate), partition \(partition)")
        }
        onTake = { [unowned events] in events.wakeOthers() }
        onStore = { [unowned events] record, _ in events.noteStore(record) }
        onSilence = { [unowned events] in events.excuse($0.map(\.id)) }
    }

    func behave(_ life: WorldPlan.Life?) { manners = life?.manners ?? Manners() }

    func join(_ actors: Actors, weight: Int) {
        actors.add("service", weight: weight) { self.step(now: actors.now) }
    }

    func pass(step: Int) {}

    func makeOutput(_ process: WorldProcess) throws -> any WorldOutput { try SimulatedOutput(self, process) }

    func forgetSender(withPower: Bool) { forgetSender() }

    func close() -> [String] {
        onFate = nil
        onTake = nil
        onStore = nil
        onSilence = nil
        onRefusal = nil
        return []
    }
}
