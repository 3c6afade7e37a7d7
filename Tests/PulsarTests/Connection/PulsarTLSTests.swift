import COpenSSL
import Glibc
import Logging
import NIOCore
import NIOPosix
import OpenSSLTransport
import PulsarBroker
import TestSupport
import Testing

@testable import Pulsar

/// TLS with a broker whose certificate a throw-away authority issued.
@Suite struct PulsarTLSTests {
    private let directory = TemporaryDirectory("pulsar-tls")
    private let topic = "t"

    /// - Parameter names: of the broker's certificate.
    private func broker(
        _ names: [String], clientAuthority: String? = nil, _ change: (inout BrokerConfiguration) -> Void = { _ in }
    ) async throws -> PulsarBroker {
        var configuration = BrokerConfiguration(storeDirectory: directory("store"))
        var tls = BrokerConfiguration.TLS(directory: directory("tls"))
        tls.names = names
        tls.clientAuthorityFile = clientAuthority
        configuration.tls = tls
        change(&configuration)
        let broker = try PulsarBroker(configuration)
        try await broker.start()
        return broker
    }

    private func ask(
        _ url: String?, _ tls: PulsarTLS, _ authentication: PulsarAuthentication = .none
    ) async throws -> PulsarError? {
        var options = PulsarClientOptions()
        options.initialBackoff = .seconds(60)
        options.tls = tls
        let client = try PulsarClient(
            serviceURL: try #require(url), authentication: authentication, options: options)
        var failure: PulsarError?
        do {
            _ = try await client.source.connection(owning: try TopicName(topic)).get()
        } catch {
            failure = error as? PulsarError
        }
        await client.close()
        return failure
    }

    @Test func namesAndChainAreCheckedUnlessToldOtherwise() async throws {
        // The broker is reached as 127.0.0.1, which this certificate does not bear.
        let broker = try await broker(["elsewhere.example"])
        let url = try await broker.serviceURL(tls: true)
        let authority = try #require(broker.authorityFile)
        let refused = try await ask(url, PulsarTLS(authorities: authority))
        #expect(refused?.code == .connectFailed)
        #expect(refused?.message.contains("mismatch") == true, "\(String(describing: refused))")
        var lax = PulsarTLS(authorities: authority)
        lax.checksHostName = false
        #expect(try await ask(url, lax) == nil)
        // Without the name, the chain still counts.
        let other = directory("other.pem")
        try ThrowAwayAuthority().writeCertificate(to: other)
        lax.trust = .file(other)
        let stranger = try await ask(url, lax)
        #expect(stranger?.code == .connectFailed && stranger?.message.contains("TLS handshake") == true)
        lax.allowsInsecureConnections = true
        #expect(try await ask(url, lax) == nil)
        try await broker.stop()
    }

    @Test func aRightCertificateIsTakenInEveryVersion() async throws {
        let broker = try await broker(["127.0.0.1"])
        let url = try await broker.serviceURL(tls: true)
        for version in [PulsarTLS.Version.tls12, .tls13] {
            var tls = PulsarTLS(authorities: try #require(broker.authorityFile))
            tls.minimumVersion = version
            #expect(try await ask(url, tls) == nil)
        }
        // The system's store does not know it.
        #expect(try await ask(url, PulsarTLS())?.code == .connectFailed)
        try await broker.stop()
    }

    @Test func aContextOfOnesOwnDecides() async throws {
        let broker = try await broker(["127.0.0.1"])
        let url = try await broker.serviceURL(tls: true)
        let authority = try #require(broker.authorityFile)
        let context = try #require(SSL_CTX_new(TLS_client_method()))
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        var tls = PulsarTLS()
        tls.customContext = .init(context)
        #expect(try await ask(url, tls)?.code == .connectFailed)
        #expect(SSL_CTX_load_verify_file(context, authority) == 1)
        #expect(try await ask(url, tls) == nil)
        SSL_CTX_free(context)
        try await broker.stop()
    }

    @Test func aClientCertificateIsShown() async throws {
        let authority = try ThrowAwayAuthority()
        let authorityFile = directory("clients.pem")
        try authority.writeCertificate(to: authorityFile)
        let files = TLSIdentityFiles(certificateChain: directory("c.pem"), privateKey: directory("c.key"))
        try authority.issue(names: ["shipper"]).write(to: files)
        let broker = try await broker(["127.0.0.1"], clientAuthority: authorityFile)
        let url = try await broker.serviceURL(tls: true)
        var tls = PulsarTLS(authorities: try #require(broker.authorityFile))
        #expect(try await ask(url, tls)?.code == .connectFailed)
        tls.clientCertificate = .init(chainFile: files.certificateChain, privateKeyFile: files.privateKey)
        #expect(try await ask(url, tls, .tls) == nil)
        try await broker.stop()
    }

    @Test func throughAProxyItsNameCounts() async throws {
        let broker = try await broker(["127.0.0.1"]) { $0.hasProxy = true }
        let tls = PulsarTLS(authorities: try #require(broker.authorityFile))
        #expect(try await ask(try await broker.proxyURL(tls: true), tls) == nil)
        #expect(try await broker.statistics.connectionsAccepted == 2)
        try await broker.stop()
    }

    @Test func filesThatCannotBeUsedAreNamed() throws {
        var tls = PulsarTLS(authorities: directory("missing.pem"))
        let options = { (tls: PulsarTLS) in
            var options = PulsarClientOptions()
            options.tls = tls
            return options
        }
        let first = #expect(throws: PulsarError.self) {
            try PulsarClient(serviceURL: "pulsar+ssl://a", options: options(tls))
        }
        #expect(first?.code == .invalidConfiguration && first?.message.contains("missing.pem") == true)
        // Not looked at without TLS.
        _ = try PulsarClient(serviceURL: "pulsar://a", options: options(tls))
        tls = PulsarTLS()
        tls.clientCertificate = .init(chainFile: directory("chain.pem"), privateKeyFile: directory("key.pem"))
        let second = #expect(throws: PulsarError.self) {
            try PulsarClient(serviceURL: "pulsar+ssl://a", options: options(tls))
        }
        #expect(second?.message.contains("chain.pem") == true)
    }

    @Test func plainTextToATLSPortIsNamed() async throws {
        let broker = try await broker(["127.0.0.1"])
        let url = try #require(try await broker.serviceURL(tls: true)).replacing("pulsar+ssl", with: "pulsar")
        let error = try await ask(url, PulsarTLS())
        #expect(error?.message.contains("with TLS or without as the URL says") == true, "\(String(describing: error))")
        try await broker.stop()
    }
}
