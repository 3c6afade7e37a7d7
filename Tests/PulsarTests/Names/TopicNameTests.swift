import TestSupport
import Testing

@testable import Pulsar

/// Section 3.6 of the protocol notes.
@Suite struct TopicNameTests {
    @Test(arguments: [
        ("t", "persistent://public/default/t"),
        ("tenant/ns/t", "persistent://tenant/ns/t"),
        ("persistent://tenant/ns/t", "persistent://tenant/ns/t"),
        ("non-persistent://tenant/ns/t", "non-persistent://tenant/ns/t"),
        ("persistent://tenant/cluster/ns/t", "persistent://tenant/cluster/ns/t"),
        ("persistent://tenant/cluster/ns/a/b//c", "persistent://tenant/cluster/ns/a/b//c"),
        ("a-1_2=3:4.5/n/t", "persistent://a-1_2=3:4.5/n/t"),
        // The local name is the broker's business.
        ("zwei Wörter:?#", "persistent://public/default/zwei Wörter:?#"),
        ("persistent://public/default/ärger 🦊", "persistent://public/default/ärger 🦊"),
    ])
    func namesAreCompleted(text: String, full: String) throws {
        let name = try TopicName(text)
        #expect(name.description == full)
        #expect(try TopicName(full) == name)
    }

    @Test func partsAreToldApart() throws {
        let short = try TopicName("non-persistent://a/b/c")
        #expect(short.domain == .nonPersistent && short.cluster == nil)
        #expect([short.tenant, short.namespace, short.localName] == ["a", "b", "c"])
        let old = try TopicName("persistent://a/b/c/d/e")
        #expect(old.domain == .persistent && old.cluster == "b")
        #expect([old.tenant, old.namespace, old.localName] == ["a", "c", "d/e"])
    }

    @Test(arguments: [
        ("", "has nothing behind the last slash"),
        ("a/b", "has 2 parts and no scheme"),
        ("a/b/c/d", "has 4 parts and no scheme"),
        ("/", "has 2 parts and no scheme"),
        ("//", "has a tenant that is empty"),
        ("a/b/", "has nothing behind the last slash"),
        ("http://a/b/c", "has a scheme that is neither persistent nor non-persistent"),
        ("Persistent://a/b/c", "has a scheme"),
        ("://a/b/c", "has a scheme"),
        ("persistent://", "has fewer than three parts"),
        ("persistent://t", "has fewer than three parts"),
        ("persistent://tenant/t", "has fewer than three parts"),
        ("persistent://tenant/ns/", "has nothing behind the last slash"),
        ("persistent:///ns/t", "has a tenant that is empty"),
        ("persistent://tenant//t", "has a namespace that is empty"),
        ("persistent://tenant//ns/t", "has a cluster that is empty"),
        ("persistent://ten ant/ns/t", "has a tenant that is empty or has other characters"),
        ("persistent://tenant/ñs/t", "has a namespace that is empty or has other characters"),
        ("persistent://tenant/cl+uster/ns/t", "has a cluster that is empty or has other characters"),
    ])
    func whatIsNoNameIsRefusedWithWhatIsAllowed(text: String, what: String) {
        let error = #expect(throws: PulsarError.self) { try TopicName(text) }
        #expect(error?.code == .invalidTopicName)
        #expect(error?.message.contains(what) == true, "\(String(describing: error))")
        #expect(error?.message.contains("persistent://tenant/namespace/t") == true)
    }

    @Test func aRefusedNameIsShownWithoutItsLengthAndItsControlCharacters() {
        let error = #expect(throws: PulsarError.self) {
            try TopicName("a/b\r\n\u{1B}" + String(repeating: "x", count: 100_000))
        }
        #expect(error.map { $0.message.utf8.count < 1000 && !$0.message.contains("\n") } == true)
    }

    @Test(arguments: [
        ("t-partition-0", 0), ("t-partition-17", 17), ("t-partition-00", 0), ("t-partition-1-partition-2", 2),
        ("-partition-3", 3), ("t", nil), ("t-partition-", nil), ("t-partition-x", nil), ("t-partition-1x", nil),
        ("t-partition--1", nil), ("t-partition-+1", nil), ("t-partition-1-x", nil), ("t-partition", nil),
        ("t-partition-2147483647", 2_147_483_647), ("t-partition-2147483648", nil),
        ("t-partition-99999999999999999999", nil), ("t-partition-١", nil),
    ])
    func thePartitionIsReadFromTheName(text: String, index: Int?) throws {
        #expect(try TopicName(text).partitionIndex == index)
    }

    @Test func partitionsAreNamed() throws {
        for text in ["t", "non-persistent://a/b/c", "persistent://a/b/c/d/e"] {
            let topic = try TopicName(text)
            for index in [0, 1, 4711] {
                let partition = topic.partition(index)
                #expect(partition.description == "\(topic)-partition-\(index)")
                #expect(partition.partitionIndex == index)
                #expect(partition.partitionedTopic == topic)
                #expect(partition.partition(8) == partition)
                #expect(try TopicName(partition.description) == partition)
            }
            #expect(topic.partitionedTopic == topic)
        }
    }

    @Test func mutatedNamesEndInANameOrAnError() {
        let names = ["persistent://tenant/ns/t-partition-7", "tenant/ns/t", "non-persistent://a/b/c/d-partition-0"]
        for var generator in [SeededGenerator(seed: 31), .fresh("topic names")] {
            for round in 0..<3000 {
                let bytes = generator.mutate(Array(names[round % names.count].utf8))
                guard let name = try? TopicName(String(decoding: bytes, as: UTF8.self)) else { continue }
                #expect((try? TopicName(name.description)) == name, "\(name)")
                #expect(!name.tenant.isEmpty && !name.namespace.isEmpty && !name.localName.isEmpty)
                #expect(name.partitionIndex.map { $0 >= 0 } ?? true)
            }
        }
    }
}
