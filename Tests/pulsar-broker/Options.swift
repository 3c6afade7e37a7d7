import NIOCore
import Pulsar
import PulsarBroker

/// The words behind the subcommand.
struct Options {
    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var configuration = BrokerConfiguration(storeDirectory: "")
    private(set) var topic: String?

    init(_ words: ArraySlice<String>) throws {
        var words = words
        var tokens: Set<String> = []
        var users: Set<String> = []
        var faultsEvery: Int?
        var seed: UInt64 = 1
        while let name = words.popFirst() {
            func text() throws -> String {
                guard let value = words.popFirst() else { throw Mistake(description: "\(name) wants a value") }
                return value
            }
            func number(_ range: ClosedRange<Int>) throws -> Int {
                let value = try text()
                guard let number = Int(value), range.contains(number) else {
                    throw Mistake(description: "\(name) is a number from \(range.lowerBound) to \(range.upperBound)")
                }
                return number
            }
            switch name {
            case "--store": configuration.storeDirectory = try text()
            case "--topic": topic = Self.full(try text())
            case "--port": configuration.port = try number(0...65535)
            case "--brokers": configuration.brokers = try number(1...100)
            case "--proxy": configuration.hasProxy = true
            case "--no-deduplication": configuration.deduplicates = false
            case "--partitions":
                let value = try text()
                guard let mark = value.lastIndex(of: "="), let count = Int(value[value.index(after: mark)...]),
                    (0...10_000).contains(count)
                else { throw Mistake(description: "\(name) is TOPIC=N, with a number up to 10000") }
                configuration.partitions[Self.full(String(value[..<mark]))] = count
            case "--default-partitions": configuration.defaultPartitions = try number(0...10_000)
            case "--maximum-message-size": configuration.maximumMessageSize = try number(1...(1 << 30))
            case "--tls": configuration.tls = BrokerConfiguration.TLS(directory: try text())
            case "--token": tokens.insert(try text())
            case "--basic": users.insert(try text())
            case "--keep-alive": configuration.keepAliveInterval = .seconds(Int64(try number(1...86_400)))
            case "--disconnect-notice": configuration.disconnectNotice = .seconds(Int64(try number(0...86_400)))
            case "--faults-every": faultsEvery = try number(1...Int(Int32.max))
            case "--seed": seed = UInt64(try number(0...Int.max))
            default: throw Mistake(description: "\(name) is no option")
            }
        }
        guard !configuration.storeDirectory.isEmpty else { throw Mistake(description: "--store is missing") }
        if !tokens.isEmpty { configuration.authentication = .token(tokens) }
        if !users.isEmpty { configuration.authentication = .basic(users) }
        if let faultsEvery {
            let faults = RandomFaults(every: faultsEvery, seed: seed)
            configuration.onSend = { faults.fault($0) }
        }
    }

    private static func full(_ topic: String) -> String {
        topic.contains("://") ? topic : "persistent://\(topic.contains("/") ? "" : "public/default/")\(topic)"
    }
}
