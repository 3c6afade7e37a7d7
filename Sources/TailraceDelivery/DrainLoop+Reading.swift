internal import Logging
internal import Producing
internal import TailraceSpool

// From the spool into batches.
extension DrainLoop {
    func nextFrame(_ now: ContinuousClock.Instant) -> (view: SpoolFrame, next: Int)? {
        if let readAgainAt, now < readAgainAt { return nil }
        readAgainAt = nil
        do {
            let unusedBefore = parts.reader.unusedSequences
            let view = try parts.reader.next()
            let first = view.map { $0.firstSequence + UInt64($0.startIndex) } ?? parts.reader.nextSequence
            if first > cursor {
                let unused = min(parts.reader.unusedSequences - unusedBefore, first - cursor)
                statistics.unused += unused
                statistics.damaged += first - cursor - unused
                // Which partitions the lost records belonged to is not known.
                if first - cursor > unused { stopSkipping("unreadable records are among those that may be stored") }
                cursor = first
                ledger.touch()
            }
            return view.map { ($0, $0.startIndex) }
        } catch {
            noteUnreadable(error, now)
            return nil
        }
    }

    func noteUnreadable(_ error: any Error, _ now: ContinuousClock.Instant) {
        statistics.localFailures += 1
        readAgainAt = now.advanced(by: configuration.readRetryInterval)
        log(now, .error, "cannot read the spool", "\(error)")
    }

    /// Puts the frame's records into batches, or passes them over; false when there is no room for all of them now.
    func placeFrame(_ now: ContinuousClock.Instant) -> Bool {
        guard let (view, start) = frame else { return true }
        guard let route = routes.find(view.context, prepare: { open.prepare($0, $1, key: $2) }) else {
            passOthers(view, start)
            return true
        }
        let partition = route.partition
        var index = start
        let acknowledged = ledger.acknowledged(partition)
        if view.firstSequence + UInt64(index) < acknowledged {
            let skipped = Int(min(acknowledged - view.firstSequence, UInt64(view.recordCount))) - index
            statistics.alreadyAcknowledged += UInt64(skipped)
            index += skipped
        }
        if ledger.isSkipping { index += skipStored(view, index, partition) }
        defer { advance(view, index) }
        if laggards.next(partition) == nil {
            let room = place(view, &index, route, now)
            let keepsOthersWaiting = room == .laneFull && othersStarve(partition)
            let isTooMuch = stall.note(keepsOthersWaiting ? .waiting : .going, now)
            if room == .free { return true }
            guard isTooMuch else { return false }
            laggards.add(partition, next: view.firstSequence + UInt64(index))
            log(
                now, .notice, "a partition is slow; the others go on without it", "its lane is full",
                ["partition": "\(partition)"])
        }
        open.pass(view, index, route)
        laggards.pass(partition, records: UInt64(view.recordCount - index))
        index = view.recordCount
        return true
    }

    /// Records that are for another output.
    func passOthers(_ view: SpoolFrame, _ index: Int) {
        statistics.forOthers += UInt64(view.recordCount - index)
        advance(view, view.recordCount)
    }

    enum Room { case free, laneFull, memoryFull }

    /// Of a lane, with what all of them hold. Half of the memory is for whoever comes, the other half is shared evenly by
    /// the partitions that have records: so no lanes that are stuck can keep the others from a part of it.
    func room(_ partition: Int) -> Room {
        let lane = engine.bytes(of: partition)
        let total = engine.bytes + open.bytes
        if lane >= configuration.laneLimit { return .laneFull }
        let half = configuration.memoryLimit / 2
        if total >= half, lane >= half / max(1, activePartitions), lane > 0 { return .laneFull }
        return total >= configuration.memoryLimit ? .memoryFull : .free
    }

    /// Another partition, which had records, has none to send.
    func othersStarve(_ partition: Int) -> Bool {
        hasRecords.indices.contains {
            $0 != partition && hasRecords[$0] && engine.isEmpty($0) && open.span($0) == nil && laggards.next($0) == nil
        }
    }

    /// Puts a frame's records from `index` on into batches of their partition, as far as there is room.
    func place(
        _ view: SpoolFrame, _ index: inout Int, _ route: Route<D.Encoder.Header>, _ now: ContinuousClock.Instant
    ) -> Room {
        let partition = route.partition
        if !hasRecords[partition] {
            hasRecords[partition] = true
            activePartitions += 1
        }
        while index < view.recordCount {
            let room = room(partition)
            guard room == .free else { return room }
            if let key = open.key(partition), key != route.key { seal(partition, now) }
            if open.key(partition) == nil { open.begin(route, view.firstSequence + UInt64(index), now) }
            let taken = open.append(view, index, route)
            index += taken
            if taken == 0, open.span(partition) == nil {
                guard appendLarge(view, index, route, now) else { return .laneFull }
                index += 1
            } else if index < view.recordCount {
                seal(partition, now)
            }
        }
        return .free
    }

    /// Passes the records that the service has from the last run.
    func skipStored(_ view: SpoolFrame, _ index: Int, _ partition: Int) -> Int {
        let first = view.firstSequence + UInt64(index)
        let skipped = ledger.skip(partition, first: first, count: view.recordCount - index)
        if skipped > 0 {
            statistics.partitions[partition].acknowledged = first + UInt64(skipped)
            statistics.alreadyAcknowledged += UInt64(skipped)
            statistics.recognised += UInt64(skipped)
        }
        if view.endSequence >= ledger.skippingEnd {
            stopSkipping("fewer records than it has were left for the partition")
        }
        return skipped
    }

    func stopSkipping(_ reason: String) {
        for (partition, left) in ledger.stopSkipping() {
            parts.logger.warning(
                "records that the service may have are sent again",
                metadata: [
                    "destination": "\(parts.destination.name)", "partition": "\(partition)",
                    "records": "\(left)", "reason": "\(reason)",
                ])
        }
    }

    func advance(_ view: SpoolFrame, _ index: Int) {
        let next = view.firstSequence + UInt64(index)
        if index == view.recordCount { frame = nil } else { frame?.next = index }
        guard next != cursor else { return }
        cursor = next
        // Without anything in batches, the floor moves by reading alone (what was acknowledged before).
        ledger.touch()
    }

    /// A record that does not fit into an empty batch: as much of it as does fit, or into the dead-letter area. False
    /// when it has to wait.
    func appendLarge(
        _ view: SpoolFrame, _ index: Int, _ route: Route<D.Encoder.Header>, _ now: ContinuousClock.Instant
    ) -> Bool {
        let partition = route.partition
        let sequence = view.firstSequence + UInt64(index)
        if open.appendCut(view, index, route) {
            statistics.truncated += 1
            return true
        }
        // It gets no number, so the ledger has to be past it before those behind it get theirs.
        guard !ledger.isNumbered || engine.isEmpty(partition) else { return false }
        let reason = "the record's properties alone exceed the largest batch of \(parts.destination.name)"
        let isKept = refused.keep(view, index, reason)
        noteKept(isKept ? 1 : 0, of: 1)
        if ledger.isNumbered {
            ledger.acknowledge(partition, before: sequence + 1, numbered: 0)
            statistics.partitions[partition].acknowledged = sequence + 1
            noteGivenUp(partition)
            releaseHeld(now)
        }
        return true
    }
}
