import TestSupport
import Testing

@testable import Pulsar

/// Section 3.3 of the protocol notes.
@Suite struct ServiceURLTests {
    @Test(arguments: [
        ("pulsar://a", "pulsar://a:6650", false),
        ("pulsar+ssl://a", "pulsar+ssl://a:6651", true),
        ("pulsar://a:6650,b:6650,c", "pulsar://a:6650,b:6650,c:6650", false),
        ("pulsar+ssl://a:1,b", "pulsar+ssl://a:1,b:6651", true),
        ("PULSAR://a", "pulsar://a:6650", false),
        ("pulsar://a:6650/", "pulsar://a:6650", false),
        ("pulsar://a,b:7/some/path,c", "pulsar://a:6650,b:7", false),
        ("pulsar://a?x=y", "pulsar://a:6650", false),
        ("pulsar://[::1]", "pulsar://[::1]:6650", false),
        ("pulsar+ssl://[fe80::1]:7000,b,[::2]", "pulsar+ssl://[fe80::1]:7000,b:6651,[::2]:6651", true),
        ("pulsar://10.0.0.1:65535", "pulsar://10.0.0.1:65535", false),
    ])
    func hostsAndPortsAreRead(text: String, full: String, usesTLS: Bool) throws {
        let url = try ServiceURL(text)
        #expect(url.description == full)
        #expect(url.usesTLS == usesTLS)
        #expect(try ServiceURL(full) == url)
    }

    @Test func anAddressLosesItsBrackets() throws {
        let hosts = try ServiceURL("pulsar://[::1]:7,b").hosts
        #expect(hosts.map(\.name) == ["::1", "b"])
        #expect(hosts.map(\.port) == [7, 6650])
    }

    @Test(arguments: [
        ("", "has no scheme"), ("a:6650", "has no scheme"), ("pulsar:/a", "has no scheme"),
        ("kafka://a", "has a scheme that is not Pulsar's"), ("://a", "has a scheme that is not Pulsar's"),
        ("http://a:8080", "is that of the web service"), ("https://a", "is that of the web service"),
        ("pulsar://", "names no host"), ("pulsar:///x", "names no host"), ("pulsar://a,,b", "names no host"),
        ("pulsar://a,", "names no host"), ("pulsar://:6650", "names no host"), ("pulsar://a b", "names no host"),
        ("pulsar://user:c4nary@a:6650", "has a port that is no number"), ("pulsar://c4nary@a", "names no host"),
        ("pulsar://a:0", "has a port that is no number from 1 to 65535"), ("pulsar://a:65536", "has a port"),
        ("pulsar://a:", "has a port"), ("pulsar://a:x", "has a port"), ("pulsar://a:-1", "has a port"),
        ("pulsar://::1", "has a port"), ("pulsar://a:1:2", "has a port"),
        ("pulsar://[::1", "has an IPv6 address without its closing bracket"),
        ("pulsar://[::1]x", "has text after the address"), ("pulsar://[]", "names no host"),
    ])
    func whatIsNoURLIsRefusedWithWhatIsAllowed(text: String, what: String) {
        let error = #expect(throws: PulsarError.self) { try ServiceURL(text) }
        #expect(error?.code == .invalidServiceURL)
        #expect(error?.message.contains(what) == true, "\(String(describing: error))")
        #expect(error?.message.contains("pulsar://host[:port] or pulsar+ssl://host[:port]") == true)
        #expect(error?.message.contains("c4nary") == false)
    }

    @Test func hostsAreLimited() throws {
        let many = "pulsar://" + String(repeating: "a,", count: ServiceURL.hostLimit - 1) + "a"
        #expect(try ServiceURL(many).hosts.count == ServiceURL.hostLimit)
        #expect(throws: PulsarError.self) { try ServiceURL(many + ",a") }
    }

    @Test func mutatedURLsEndInAURLOrAnError() {
        for var generator in [SeededGenerator(seed: 33), .fresh("service URLs")] {
            for _ in 0..<3000 {
                let bytes = generator.mutate(Array("pulsar+ssl://[fe80::1]:7000,broker-1.example,10.0.0.1:6651/x".utf8))
                guard let url = try? ServiceURL(String(decoding: bytes, as: UTF8.self)) else { continue }
                #expect(
                    !url.hosts.isEmpty && url.hosts.allSatisfy { !$0.name.isEmpty && (1...65535).contains($0.port) })
                #expect((try? ServiceURL(url.description)) == url, "\(url)")
            }
        }
    }
}
