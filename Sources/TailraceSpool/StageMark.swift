import Synchronization

/// How a thread of ours gets on, for whoever watches over all of them: it is at a piece of work, or rests until there is one.
///
/// One number, odd during work, that every change raises: whoever finds the same odd number twice has seen a thread that did
/// not get on in between: a call that does not return, a lock that is never free, a loop without end. The thread says so
/// once per piece of work, never per record.
package final class StageMark: Sendable {
    /// As status and log name the stage, such as "spool".
    package let name: String
    private let number = Atomic<UInt64>(0)

    package init(_ name: String) { self.name = name }

    package var value: UInt64 { number.load(ordering: .relaxed) }
    package var isAtWork: Bool { value & 1 == 1 }
    /// Whether a piece of work is done, or a rest was begun.
    package var hasDoneSomething: Bool { value > 1 }

    /// A piece of work begins; the one before, if any, is done.
    package func work() { move(to: 1) }

    /// Nothing can be done until something comes: the piece of work is done.
    package func rest() { move(to: 0) }

    /// One thread at a time moves it.
    private func move(to parity: UInt64) {
        let old = number.load(ordering: .relaxed)
        number.store(old &+ (old & 1 == parity ? 2 : 1), ordering: .relaxed)
    }
}
