import Glibc
import Synchronization
import TailraceSpool

/// A thread that can be waited for.
package final class WorldThread {
    private let thread: pthread_t

    package init(_ body: @escaping @Sendable () -> Void) { thread = startThread("worlds", body) }

    package func join() { pthread_join(thread, nil) }

    /// How many of them the machine has a processor for.
    package static var count: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// Does `body` for every number below `limit`, as long as `goesOn`, on all processors: a world is of one thread alone.
    ///
    /// - Parameter body: `job` says on which of the threads.
    package static func share(
        _ limit: UInt64, while goesOn: @escaping @Sendable () -> Bool = { true },
        _ body: @escaping @Sendable (_ number: UInt64, _ job: Int) -> Void
    ) {
        let next = Mutex<UInt64>(0)
        let threads = (0..<count).map { job in
            WorldThread {
                while goesOn() {
                    let number = next.withLock { next in
                        defer { next += 1 }
                        return next
                    }
                    guard number < limit else { return }
                    body(number, job)
                }
            }
        }
        for thread in threads { thread.join() }
    }
}

extension World {
    /// The worlds of these seeds, in no order.
    package static func run(seeds: [UInt64], kind: WorldKind = .plain) -> [WorldResult] {
        let results = Mutex<[WorldResult]>([])
        WorldThread.share(UInt64(seeds.count)) { number, _ in
            let result = run(seed: seeds[Int(number)], kind: kind)
            results.withLock { $0.append(result) }
        }
        return results.withLock { $0 }
    }
}
