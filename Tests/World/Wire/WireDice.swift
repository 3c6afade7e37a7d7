import NIOCore
import TestSupport

/// The dice that all parts of one service behind a network throw.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class WireDice: @unchecked Sendable {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func next() -> UInt64 { generator.next() }
    func below(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }
    func flip() -> Bool { Bool.random(using: &generator) }
    func number<Number: FixedWidthInteger>(in range: ClosedRange<Number>) -> Number {
        Number.random(in: range, using: &generator)
    }

    func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }

    /// - Parameter chance: in thousandths.
    func happens(_ chance: Int) -> Bool { chance > 0 && below(1000) < chance }

    func time(upTo limit: TimeAmount) -> TimeAmount { .nanoseconds(number(in: 0...limit.nanoseconds)) }
}
