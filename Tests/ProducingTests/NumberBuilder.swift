import Producing
import Synchronization

/// Builds batches of numbers; a number's size is what its events cost.
struct NumberBuilder: BatchBuilder {
    struct Event: Sendable {
        var number: Int
        var size = 1
    }

    enum Failure: Error, Equatable, Sendable { case tooLarge, refused(String), abandoned, lost }

    var maximumSize = 10
    var maximumCount = Int.max
    private var numbers: [Int] = []
    private(set) var size = 0

    init(maximumSize: Int = 10, maximumCount: Int = .max) {
        self.maximumSize = maximumSize
        self.maximumCount = maximumCount
    }

    var count: Int { numbers.count }
    var isFull: Bool { count >= maximumCount }

    mutating func add(_ event: Event) throws(Failure) -> Bool {
        if event.number < 0 { throw .refused("negative") }
        guard size + event.size <= maximumSize, !isFull else { return false }
        numbers.append(event.number)
        size += event.size
        return true
    }

    func tooLarge(_ event: Event) -> Failure { .tooLarge }

    mutating func seal() -> [Int] {
        defer {
            numbers = []
            size = 0
        }
        return numbers
    }
}

/// A service that a test answers for by hand, or by a rule.
final class HandBufferedService: BufferedService {
    typealias Batch = [Int]
    typealias Failure = NumberBuilder.Failure
    typealias End = AttemptEnd<Failure>

    struct Sent: Sendable {
        var batch: [Int]
        var partition: Int
        var completion: @Sendable (End) -> Void
    }

    private let pending = Mutex<[Sent]>([])
    private let rule = Mutex<(@Sendable (Sent) -> End?)?>(nil)
    /// Every transmission.
    let all = Mutex<[Sent]>([])

    /// Answers at once what the rule knows an answer for.
    func answer(_ rule: @escaping @Sendable (Sent) -> End?) { self.rule.withLock { $0 = rule } }

    func send(_ batch: [Int], partition: Int, completion: @escaping @Sendable (End) -> Void) {
        let sent = Sent(batch: batch, partition: partition, completion: completion)
        all.withLock { $0.append(sent) }
        if let end = rule.withLock({ $0 })?(sent) { return completion(end) }
        pending.withLock { $0.append(sent) }
    }

    /// What waits for an answer.
    func take() -> [Sent] {
        pending.withLock { pending in
            defer { pending = [] }
            return pending
        }
    }
}

/// A buffered producer of numbers on manual time, and what was told of it.
final class NumberProducer: Sendable {
    struct Told: Equatable, Sendable {
        var partition: Int
        var batch: [Int]
        var failure: NumberBuilder.Failure?
    }

    let timer = ManualTimer()
    let service = HandBufferedService()
    let producer: BufferedProducer<NumberBuilder, HandBufferedService>
    private let box = ToldBox()

    init(
        partitions: Int = 1, maximumSize: Int = 10, maximumCount: Int = .max, concurrent: Int = 100,
        _ limits: BufferLimits = BufferLimits(),
        call: (@Sendable (BufferedResult<[Int], NumberBuilder.Failure>) -> Void)? = nil
    ) {
        let box = box
        producer = BufferedProducer(
            service: service, limits: limits, maximumConcurrentSends: concurrent, timer: timer.engineTimer,
            callbacks: BufferedCallbacks(
                call: call,
                observe: { result in
                    let told = Told(partition: result.partition, batch: result.batch, failure: result.failure)
                    box.told.withLock { $0.append(told) }
                }))
        for _ in 0..<partitions {
            producer.addPartition(NumberBuilder(maximumSize: maximumSize, maximumCount: maximumCount))
        }
    }

    private final class ToldBox: Sendable {
        let told = Mutex<[Told]>([])
    }
    var results: [Told] { box.told.withLock { $0 } }

    @discardableResult
    func add(_ number: Int, size: Int = 1, partition: Int = 0) throws(NumberBuilder.Failure) -> Bool {
        try producer.partition(partition).add(.init(number: number, size: size)) == .taken
    }
}
