internal import Logging
internal import Producing
internal import TailraceSpool

// Batches into lanes, and what becomes of them.
extension DrainLoop {
    func seal(_ partition: Int, _ now: ContinuousClock.Instant) {
        guard let sealed = open.seal(partition) else { return }
        engine.append(
            .init(batch: sealed.batch, tag: sealed.span, bytes: sealed.bytes, records: sealed.records),
            partition: partition, now: now)
    }

    /// Nothing more can be put into batches for now, so those whose lane has nothing to do go as they are.
    func sealIdleLanes(_ now: ContinuousClock.Instant) {
        guard open.records > 0 else { return }
        for partition in hasRecords.indices where engine.isEmpty(partition) { seal(partition, now) }
    }

    private static var sweepInterval: Duration { .milliseconds(1) }

    /// Once in that time, however fast frames come: batches that waited long enough go, and the numbers are shown.
    func sweep(_ now: ContinuousClock.Instant) {
        let due = sweepAt ?? now.advanced(by: Self.sweepInterval)
        sweepAt = due
        guard now >= due else { return }
        sweepAt = now.advanced(by: Self.sweepInterval)
        if open.records > 0 {
            for partition in hasRecords.indices {
                guard let since = open.since(partition), since.advanced(by: configuration.maximumWait) <= now,
                    engine.isEmpty(partition)
                else { continue }
                seal(partition, now)
            }
        }
        publish()
    }

    func poll(_ now: ContinuousClock.Instant) {
        engine.poll(
            now: now,
            failed: { failure in
                statistics.partitions[failure.partition].trouble = failure.reason
                if ledger.isNumbered, parts.destination.hasLostProducer(failure.partition) {
                    forgetProducer(failure.partition)
                }
                log(
                    now, .warning, "a batch was not taken and is sent again", failure.reason,
                    ["partition": "\(failure.partition)", "attempts": "\(failure.failures)"])
            },
            refused: { partition, item, reason in
                log(
                    now, .error, "the service refuses a batch for good; it is tried again in parts", reason,
                    ["partition": "\(partition)", "records": "\(item.records)"])
                parts.destination.noteRefusal(partition)
                do {
                    return try self.refused.split(item.tag, partition, item.records, routes)
                } catch {
                    // The service minds one record, and the others must not go with it: it is asked again until they can
                    // be told apart.
                    statistics.localFailures += 1
                    log(now, .error, "cannot read refused records again", "\(error)")
                    return [item]
                }
            },
            settle: { partition, item, settlement in
                switch settlement {
                case .acknowledged:
                    statistics.acknowledged += UInt64(item.records)
                    statistics.acknowledgedBatches += 1
                    statistics.acknowledgedBytes += UInt64(item.bytes)
                    if laggards.next(partition) == nil { stall.count(item.bytes) }
                    statistics.partitions[partition].acknowledgedRecords += UInt64(item.records)
                    ledger.acknowledge(partition, before: item.tag.end, numbered: item.records)
                case .rejected(let reason):
                    log(
                        now, .error, "a refused record goes to the dead-letter area", reason,
                        ["partition": "\(partition)", "sequence": "\(item.tag.first)"])
                    noteKept(self.refused.keep(item.tag, partition, routes, reason), of: item.records)
                    ledger.acknowledge(partition, before: item.tag.end, numbered: 0)
                }
                statistics.partitions[partition].acknowledged = item.tag.end
                statistics.partitions[partition].trouble = nil
                statistics.lastProgress = now
                // Before the next batch of the lane goes out: a kill then doubles no more than that one.
                if !parts.destination.knowsWhatItHas { saveLedger(now) }
                if settlement != .acknowledged, ledger.isNumbered { noteGivenUp(partition) }
                open.reuse(item.batch, partition)
            })
        releaseHeld(now)
    }

    func noteKept(_ kept: Int, of records: Int) {
        statistics.deadLettered += UInt64(min(kept, records))
        statistics.dropped += UInt64(max(0, records - kept))
    }
}
