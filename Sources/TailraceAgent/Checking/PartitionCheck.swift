internal import TailraceDelivery
internal import TailraceSpool

/// What a service has, beside what the output's ledger says of it.
enum PartitionCheck {
    static func run(
        _ subject: String, _ place: String, partitions: Int, key: RoutingKey, _ ledger: LedgerState?,
        _ findings: Findings
    ) {
        let subject = "\(subject), partitions"
        guard let before = ledger?.routing(else: key) else {
            return findings.ok(subject, place, "\(partitions); nothing was sent there yet")
        }
        let what = "\(partitions), and the ledger has \(before.partitions)"
        if partitions < before.partitions {
            findings.error(
                subject, place, "\(what): it is another one, or was made anew, and what was acknowledged is not there",
                remedy: "correct the output, or give it another name, which begins with what is in the spool")
        } else if partitions > before.partitions {
            findings.warning(
                subject, place, what,
                remedy: "nothing is to be done: what waits goes by the old ones first, then all are used")
        } else if before.key != key {
            findings.warning(
                subject, place, "\(partitions) as in the ledger, by another key (\(before.key.rawValue))",
                remedy: "nothing is to be done: what waits goes by the old key first")
        } else {
            findings.ok(subject, place, "\(partitions), as in the ledger")
        }
    }
}
