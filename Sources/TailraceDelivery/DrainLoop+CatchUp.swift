internal import Logging
internal import Producing
internal import TailraceSpool

// Partitions that lag get what was passed over.
extension DrainLoop {
    /// Goes on with a pass for partitions that lag; false when there is nothing to do or no room.
    func catchUp(_ now: ContinuousClock.Instant) -> Bool {
        if self.pass == nil, !beginPass(now) { return false }
        guard var pass = self.pass else { return false }
        defer { self.pass = pass.partitions.isEmpty ? nil : pass }
        do {
            if pass.frame == nil {
                // Where the drain itself is now, nothing was passed over any more; it may be on both sides of ids that a
                // recovery skipped.
                let isBehind = pass.reader.nextSequence < cursor
                if isBehind, try pass.stepOver(by: routes) { return true }
                guard isBehind, let view = try pass.reader.next(),
                    view.firstSequence + UInt64(view.startIndex) < cursor
                else {
                    pass.partitions.sorted().forEach { hasCaughtUp($0) }
                    pass.partitions = []
                    return true
                }
                pass.frame = (view, view.startIndex)
            }
        } catch {
            pass.partitions = []
            noteUnreadable(error, now)
            return false
        }
        return serve(&pass, now)
    }

    /// Puts the frame of a pass into batches, if it is of a partition that is served.
    func serve(_ pass: inout CatchUp, _ now: ContinuousClock.Instant) -> Bool {
        guard let (view, start) = pass.frame else { return false }
        guard let route = routes.find(view.context, prepare: { open.prepare($0, $1, key: $2) }) else {
            pass.frame = nil
            return true
        }
        let partition = route.partition
        let first = view.firstSequence + UInt64(start)
        guard pass.partitions.contains(partition), let next = laggards.next(partition), view.endSequence > next else {
            pass.frame = nil
            return true
        }
        var index = start + Int(max(first, next) - first)
        let begun = index
        let room = place(view, &index, route, now)
        laggards.place(partition, records: UInt64(index - begun), next: view.firstSequence + UInt64(index))
        ledger.touch()
        guard room != .free else {
            pass.frame = nil
            return true
        }
        pass.frame?.next = index
        // Alone it is waited for, at this place; others are not kept waiting.
        guard pass.partitions.count > 1 || hasRoomForAnother(than: pass.partitions) else { return false }
        pass.partitions.remove(partition)
        pass.frame = nil
        return true
    }

    func hasRoomForAnother(than served: Set<Int>) -> Bool {
        laggards.partitions.contains { !served.contains($0) && isReadyToCatchUp($0) }
    }

    func isReadyToCatchUp(_ partition: Int) -> Bool {
        engine.bytes(of: partition) <= configuration.laneLimit / 2 && room(partition) == .free
    }

    func beginPass(_ now: ContinuousClock.Instant) -> Bool {
        if let readAgainAt, now < readAgainAt { return false }
        let ready = laggards.partitions.filter { isReadyToCatchUp($0) }
        guard let first = ready.compactMap({ laggards.next($0) }).min() else { return false }
        do {
            pass = CatchUp(reader: try parts.spool.reader(from: first, stepsOver: true), partitions: Set(ready))
            return true
        } catch {
            noteUnreadable(error, now)
            return false
        }
    }

    func hasCaughtUp(_ partition: Int) {
        statistics.damaged += laggards.remove(partition)
        ledger.touch()
    }
}
