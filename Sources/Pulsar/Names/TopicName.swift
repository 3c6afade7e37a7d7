internal import Transports

/// The name of a topic in its full form: `persistent://tenant/namespace/topic`.
///
/// A name without a scheme is completed: `topic` is `persistent://public/default/topic`, and `tenant/namespace/topic` is
/// `persistent://tenant/namespace/topic`. The old form with a cluster between tenant and namespace is kept as it is.
/// Tenant, cluster and namespace have letters, digits and `_ - = : .`; the local name may hold anything, slashes too
/// when the whole name is written with its cluster.
public struct TopicName: Hashable, Sendable, CustomStringConvertible {
    /// Whether the broker keeps messages on disk.
    public enum Domain: String, Hashable, Sendable {
        case persistent
        case nonPersistent = "non-persistent"
    }

    public let domain: Domain
    public let tenant: String
    /// Of the old form with five parts; nil for all others.
    public let cluster: String?
    public let namespace: String
    /// What the topic is called within its namespace, with the number of the partition if the name has one.
    public let localName: String
    /// The full name, as brokers are told it.
    public let description: String

    /// What stands between the name of a partitioned topic and the number of one of its partitions.
    private static let partitionMark = "-partition-"

    /// - Throws: `PulsarError` with code `invalidTopicName`, which says what is allowed.
    public init(_ text: String) throws(PulsarError) {
        var domain = Domain.persistent
        var path = text[...]
        if let scheme = text.firstRange(of: "://") {
            guard let known = Domain(rawValue: String(text[..<scheme.lowerBound])) else {
                throw Self.refused(text, "has a scheme that is neither persistent nor non-persistent")
            }
            domain = known
            path = text[scheme.upperBound...]
        } else {
            let slashes = text.utf8.count { $0 == UInt8(ascii: "/") }
            guard slashes == 0 || slashes == 2 else {
                throw Self.refused(text, "has \(slashes + 1) parts and no scheme")
            }
            if slashes == 0 { path = "public/default/\(text)" }
        }
        let parts = path.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 3 else { throw Self.refused(text, "has fewer than three parts behind its scheme") }
        let names = ["tenant", parts.count == 4 ? "cluster" : "namespace", "namespace"]
        for (name, part) in zip(names, parts.dropLast()) {
            guard !part.isEmpty, part.utf8.allSatisfy(Self.isNameByte) else {
                throw Self.refused(
                    text, "has a \(name) that is empty or has other characters than letters, digits and _ - = : .")
            }
        }
        guard let localName = parts.last, !localName.isEmpty else {
            throw Self.refused(text, "has nothing behind the last slash")
        }
        self.init(
            domain, parts[0], cluster: parts.count == 4 ? parts[1] : nil, parts[parts.count - 2], localName)
    }

    private init(_ domain: Domain, _ tenant: String, cluster: String?, _ namespace: String, _ localName: String) {
        self.domain = domain
        self.tenant = tenant
        self.cluster = cluster
        self.namespace = namespace
        self.localName = localName
        let middle = cluster.map { "\($0)/" } ?? ""
        description = "\(domain.rawValue)://\(tenant)/\(middle)\(namespace)/\(localName)"
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "_-=:.".utf8.contains(byte)
        }
    }

    private static func refused(_ text: String, _ what: String) -> PulsarError {
        let shown = PeerText.printable(text)
        return PulsarError(
            .invalidTopicName,
            "the topic \"\(shown)\" \(what); give a name (t), tenant/namespace/t, or the whole:"
                + " persistent://tenant/namespace/t or non-persistent://tenant/namespace/t")
    }

    // MARK: Partitions

    /// The number that the name ends in when it is that of a partition; nil for all others.
    public var partitionIndex: Int? {
        guard let mark = markRange else { return nil }
        let digits = localName[mark.upperBound...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let index = Int32(digits)
        else { return nil }
        return Int(index)
    }

    /// The name of one partition of this topic; the name itself when it is that of a partition already.
    public func partition(_ index: Int) -> TopicName {
        precondition(index >= 0)
        guard partitionIndex == nil else { return self }
        return TopicName(domain, tenant, cluster: cluster, namespace, "\(localName)\(Self.partitionMark)\(index)")
    }

    /// The name without the number of a partition.
    public var partitionedTopic: TopicName {
        guard partitionIndex != nil, let mark = markRange else { return self }
        return TopicName(domain, tenant, cluster: cluster, namespace, String(localName[..<mark.lowerBound]))
    }

    /// The last mark; that what is behind it has another dash makes it no number.
    private var markRange: Range<String.Index>? {
        localName.ranges(of: Self.partitionMark).last
    }
}
