import Glibc
internal import TailraceSpool

/// Where the records of one context go.
final class Route<Header> {
    let partition: Int
    let key: String
    let header: Header
    fileprivate let context: [UInt8]

    fileprivate init(partition: Int, key: String, header: Header, context: [UInt8]) {
        self.partition = partition
        self.key = key
        self.header = header
        self.context = context
    }

    fileprivate func has(_ other: UnsafeRawBufferPointer) -> Bool {
        guard other.count == context.count else { return false }
        guard let start = other.baseAddress else { return true }
        return memcmp(context, start, other.count) == 0
    }
}

/// Finds routes by the bytes of a context, so that nothing is decoded per frame.
struct RouteTable<Header> {
    private let output: String
    private let key: RoutingKey
    private let partitionCount: Int
    private let partition: @Sendable (String, Int) -> Int
    private let limit: Int
    private var routes: [Int: Route<Header>] = [:]
    private var last: Route<Header>?

    init(_ configuration: DrainConfiguration, partitionCount: Int) {
        output = configuration.name
        key = configuration.key
        partition = configuration.partition
        limit = configuration.routeLimit
        self.partitionCount = partitionCount
    }

    /// Nil for records that are for another output.
    ///
    /// - Parameter prepare: makes the header for a partition, of a context that was not seen lately.
    mutating func find(
        _ context: UnsafeRawBufferPointer, prepare: (Int, RecordContext, String) -> Header
    ) -> Route<Header>? {
        if let known = known(context) {
            last = known
            return known
        }
        let (decoded, key, place) = decode(context)
        guard let partition = place else { return nil }
        let route = Route(
            partition: partition, key: key, header: prepare(partition, decoded, key), context: Array(context))
        if routes.count >= limit { routes.removeAll(keepingCapacity: true) }
        routes[Self.hash(context)] = route
        last = route
        return route
    }

    mutating func removeAll() {
        routes = [:]
        last = nil
    }

    /// The route of a context that was seen lately.
    func known(_ context: UnsafeRawBufferPointer) -> Route<Header>? {
        if let last, last.has(context) { return last }
        return routes[Self.hash(context)].flatMap { $0.has(context) ? $0 : nil }
    }

    private static func hash(_ context: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: context)
        return hasher.finalize()
    }

    /// The same without the table, for what is rare.
    func decode(_ context: UnsafeRawBufferPointer) -> (context: RecordContext, key: String, partition: Int?) {
        // Records of a context that cannot be read (written by a later version) are delivered all the same.
        let decoded = RecordContext(decoding: context) ?? RecordContext(host: "", source: "", input: "")
        if let only = decoded.onlyOutput, only != output { return (decoded, "", nil) }
        let key = key == .host ? decoded.host : decoded.source
        let partition = partition(key, partitionCount)
        precondition(partition >= 0 && partition < partitionCount, "no partition \(partition) of \(partitionCount)")
        return (decoded, key, partition)
    }
}
