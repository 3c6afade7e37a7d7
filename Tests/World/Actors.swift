import TailraceSpool
import TestSupport

/// Those who take turns in a world, and its clock.
final class Actors {
    private struct Actor {
        let name: StaticString
        let step: () -> StepResult<UInt64>
        /// How often it gets a turn, beside the others.
        let weight: Int
        /// Nothing to do before; `.max`: unless something happens.
        var parkedUntil: UInt64 = 0
        /// In the middle of a step, which lets others have a turn.
        var isBusy = false
    }

    private var actors: [Actor] = []
    private var random: SeededGenerator
    /// Those in the middle of a step, the innermost last.
    private var stack: [Int] = []
    /// Nanoseconds since the world began.
    private(set) var now: UInt64 = 1_000_000_000
    private(set) var steps = 0
    /// Told of each turn, before it.
    var onStep: ((StaticString) -> Void)?

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    func add(_ name: StaticString, weight: Int, _ step: @escaping () -> StepResult<UInt64>) {
        actors.append(Actor(name: name, step: step, weight: weight))
    }

    func removeAll() {
        precondition(stack.isEmpty, "somebody is in the middle of a step")
        actors = []
    }

    func pass(_ nanoseconds: UInt64) { now += nanoseconds }

    /// Something happened that anybody may wait for, but for who did it.
    func wakeOthers() {
        for index in actors.indices where index != stack.last { actors[index].parkedUntil = 0 }
    }

    /// Lets one of them have a turn, if need be after the time that all wait for; false when all wait for ever.
    func stepOne() -> Bool {
        if run(ready()) { return true }
        guard let next = actors.map(\.parkedUntil).min(), next != .max else { return false }
        now = max(now, next)
        return run(ready())
    }

    /// Others have turns in the middle of a step.
    func interlude() {
        guard stack.count < 4 else { return }
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            if Int.random(in: 0..<8, using: &random) == 0 { now += UInt64.random(in: 0...20_000_000, using: &random) }
            _ = run(ready())
        }
    }

    private func ready() -> [Int] {
        actors.indices.filter { !actors[$0].isBusy && actors[$0].parkedUntil <= now }
    }

    private func run(_ ready: [Int]) -> Bool {
        guard !ready.isEmpty else { return false }
        var left = Int.random(in: 0..<ready.reduce(0) { $0 + actors[$1].weight }, using: &random)
        for index in ready {
            left -= actors[index].weight
            guard left < 0 else { continue }
            steps += 1
            onStep?(actors[index].name)
            actors[index].isBusy = true
            stack.append(index)
            // What others do meanwhile wakes it again.
            actors[index].parkedUntil = .max
            let step = actors[index].step
            let result = step()
            actors[index].isBusy = false
            if case .again = result { wakeOthers() }
            stack.removeLast()
            switch result {
            case .again:
                actors[index].parkedUntil = 0
            case .wait(let until):
                actors[index].parkedUntil = min(actors[index].parkedUntil, until ?? .max)
            case .ended:
                actors[index].parkedUntil = .max
            }
            return true
        }
        return false
    }
}
