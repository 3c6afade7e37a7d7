import NIOCore
import TestSupport
import Testing

@testable import Pulsar

/// What our producer sends through a broker that is not ours, read back by the official client.
@Suite struct PulsarReadBackTests {
    @Test func theOfficialClientPutsKeysWhereWeDo() async throws {
        let broker = try await PulsarLite(try Python(), partitions: 7)
        let keys = (0..<50).map { "key-\($0)" } + ["abc", "host-01.example.com", "é", "日本語", "x y/z"]
        try await broker.produce(keys.map { PulsarLite.Sent(payload: Array($0.utf8), key: $0) }, to: "keys")
        let received = try await broker.messages(of: "keys")
        #expect(received.count == keys.count)
        for message in received {
            #expect(message.payload == Array(message.key.utf8))
            #expect(message.partition == PulsarHashing.boost.partition(of: message.key, count: 7), "\(message.key)")
        }
    }
}
