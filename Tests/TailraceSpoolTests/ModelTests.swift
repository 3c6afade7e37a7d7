import Glibc
import TestSupport
import Testing

@testable import TailraceSpool

/// Random actions against a simple model, compared after each step.
@Suite struct ModelTests {
    /// What a spool must hold.
    private struct Model {
        /// Every record that was appended and not lost in a crash, by id.
        var records: [UInt64: [UInt8]] = [:]
        var positions: [SourceKey: [UInt8]] = [:]
        /// After each append: the id after it, and the positions then. For crashes.
        var history: [(end: UInt64, positions: [SourceKey: [UInt8]])] = [(0, [:])]
        var next: UInt64 = 0
        var released: UInt64 = 0
        var number = 0
    }

    @Test(arguments: [11, 12, 13, 14, 0])
    func randomLivesKeepEveryDurableRecord(_ seed: UInt64) throws {
        var generator = seed == 0 ? SeededGenerator.fresh("randomLives") : SeededGenerator(seed: seed)
        let directory = TemporaryDirectory()
        var settings = configuration(directory, segment: 8 << 10, maximum: 2 << 20)
        let policies: [SyncPolicy] = [.always, .always, .interval(.milliseconds(2)), .never]
        settings.sync = policies[Int.random(in: 0..<4, using: &generator)]
        settings.spareLimit = Int.random(in: 0...3, using: &generator)
        settings.groupByteLimit = [200, 4 << 20][Int.random(in: 0...1, using: &generator)]
        var spool = try openSpool(settings)
        var model = Model()
        for step in 0..<300 {
            let what: Comment = "seed \(generator.seed) step \(step)"
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<12: try append(to: spool, &model, &generator)
            case 12..<14:
                #expect(spool.flush(), what)
                #expect(spool.committed == model.next, what)
            case 14..<16:
                let sequence = UInt64.random(in: 0...model.next, using: &generator)
                spool.release(below: sequence)
                model.released = max(model.released, min(sequence, spool.committed))
            case 16:
                spool.close()
                spool = try openSpool(settings)
                #expect(spool.recovery.isClean, what)
            case 17:
                spool.abandon()
                spool = try openSpool(settings)
                try settleCrash(spool, &model, what)
            default: break
            }
            try check(spool, model, &generator, what)
        }
        spool.close()
    }

    private func append(to spool: Spool, _ model: inout Model, _ generator: inout SeededGenerator) throws {
        var bodies: [[UInt8]] = []
        for _ in 0..<Int.random(in: 0...5, using: &generator) {
            let count = Int.random(in: 0...9, using: &generator) == 0 ? 3000 : Int.random(in: 0...80, using: &generator)
            bodies.append([UInt8](repeating: UInt8(truncatingIfNeeded: model.number), count: count))
        }
        let source = "source \(Int.random(in: 0..<6, using: &generator))"
        var position: String?
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: position = nil
        case 1: position = ""
        default: position = "position \(model.number)"
        }
        let sent = batch(bodies, source: source, position: position)
        if Bool.random(using: &generator) {
            try spool.append(sent)
        } else if !spool.tryAppend(sent) {
            return
        }
        model.number += 1
        for body in bodies {
            model.records[model.next] = body
            model.next += 1
        }
        if let position { model.positions[key(source)] = position.isEmpty ? nil : Array(position.utf8) }
        model.history.append((model.next, model.positions))
    }

    /// After a crash the spool holds all appends up to some point that is not before what was durable.
    private func settleCrash(_ spool: Spool, _ model: inout Model, _ what: Comment) throws {
        let next = spool.statistics().nextSequence
        #expect(next <= model.next, what)
        #expect(next >= model.released, what)
        let positions = spool.positions()
        // Appends without records have the same end: any of those may be the last.
        let matching = model.history.lastIndex { $0.end == next && $0.positions == positions }
        let found = try #require(matching, what)
        model.history.removeSubrange((found + 1)...)
        model.records = model.records.filter { $0.key < next }
        model.next = next
        model.positions = positions
    }

    private func check(
        _ spool: Spool, _ model: Model, _ generator: inout SeededGenerator, _ what: Comment
    ) throws {
        let statistics = spool.statistics()
        #expect(statistics.nextSequence == model.next, what)
        #expect(statistics.firstSequence <= max(model.released, statistics.committed), what)
        #expect(statistics.quarantinedPlaces == 0, what)
        #expect(statistics.bytesOnDisk <= statistics.maximumSize, what)
        #expect(spool.positions() == model.positions, what)
        guard Int.random(in: 0..<4, using: &generator) == 0 else { return }
        let low = max(model.released, statistics.firstSequence)
        guard low <= statistics.committed else { return }
        let start = UInt64.random(in: low...statistics.committed, using: &generator)
        let found = try readAll(spool, from: start)
        #expect(found.count >= Int(statistics.committed - start), what)
        for (offset, record) in found.enumerated() {
            #expect(record.id == start + UInt64(offset), what)
            #expect(record.body == model.records[record.id], what)
        }
    }
}
