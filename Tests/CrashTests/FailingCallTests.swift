import Testing
import World

/// Every call that spool and ledger make to the disk goes wrong in every way that fits it: once, and from then on for ever.
@Suite(.serialized) struct FailingCallTests {
    @Test(arguments: FailingCall.Beginning.allCases, [false, true])
    func whicheverCallFailsWhatWasPromisedIsThere(_ beginning: FailingCall.Beginning, _ isForEver: Bool) {
        let calls = FailingCall.calls(beginning)
        var lives = 0
        for (index, operation) in calls.enumerated() {
            guard let operation else { continue }
            for fault in DiskFault.allCases where fault.fits(operation) && (fault.canStay || !isForEver) {
                // Half of the ends for every other call.
                let ends: [FailingCall.End] = index.isMultiple(of: 2) ? [.recovery, .kill] : [.stop, .powerCut]
                for end in ends {
                    let failing = FailingCall(
                        beginning: beginning, number: index + 1, fault: fault, isForEver: isForEver, end: end)
                    #expect(failing.violations() == [], "\(operation) as \(failing)")
                    lives += 1
                }
            }
        }
        // Kinds that no life meets would prove nothing.
        let met = Set(calls.compactMap { $0 })
        #expect(lives > 500 && met.isSuperset(of: [.open, .create, .read, .write, .sync, .preallocate, .list, .lock]))
        #expect(met.isSuperset(of: [.link, .unlink, .rename, .makeDirectory, .syncDirectory]))
        if beginning != .emptyDisk { #expect(met.contains(.truncate)) }
    }
}
