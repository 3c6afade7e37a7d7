import NIOCore
import TestSupport
import Testing

@testable import Pulsar

/// What our producer encrypts, decrypted by the official client with the private key.
@Suite struct PulsarEncryptionReadBackTests {
    private let directory = TemporaryDirectory("pulsar-keys")

    private func expect(
        _ received: [PulsarLite.Received], are messages: [PulsarMessage],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(received.count == messages.count, sourceLocation: sourceLocation)
        for (message, read) in zip(messages, received) {
            let isSame = read.payload == Array(message.payload.readableBytesView)
            #expect(
                isSame, "\(read.payload.count) bytes came of \(message.size)", sourceLocation: sourceLocation)
            #expect(read.isNull == message.isNull, sourceLocation: sourceLocation)
            #expect(read.key == message.partitionKey ?? "", sourceLocation: sourceLocation)
            #expect(
                read.properties == Dictionary(uniqueKeysWithValues: message.properties.map { ($0, $1) }),
                sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: [PulsarCompression.none, .zlib, .zstd])
    func whatWeEncryptTheOfficialClientReads(_ compression: PulsarCompression) async throws {
        let broker = try await PulsarLite(try Python())
        let keys = [try RSAKeyFiles(in: directory, "one"), try RSAKeyFiles(in: directory, "two", bits: 3072)]
        for batching in [false, true] {
            let topic = batching ? "batched" : "single"
            var options = PulsarProducerOptions.patient(batching: batching, compression)
            options.encryption = PulsarEncryption(
                keyNames: ["one", "two"],
                keyReader: PulsarCryptoKeyFiles(
                    publicKeyPaths: ["one": keys[0].publicPath, "two": keys[1].publicPath]))
            // Data keys change on the way.
            options.encryption?.dataKeyLifetime = .milliseconds(1)
            _ = try await broker.send(PulsarMessage.specimens, to: topic, options)
            // Whoever has either private key.
            let received = try await broker.messages(of: topic, privateKey: keys[batching ? 1 : 0].privatePath)
            expect(received, are: PulsarMessage.specimens)
        }
    }

    @Test(arguments: [PulsarCompression.none, .zstd])
    func encryptedChunksAreReadBackWhole(_ compression: PulsarCompression) async throws {
        let broker = try await PulsarLite(try Python())
        let key = try RSAKeyFiles(in: directory)
        var random = SeededGenerator(seed: 22)
        var payload = ByteBuffer()
        while payload.readableBytes < 6 << 20 { payload.writeInteger(random.next()) }
        var options = PulsarProducerOptions.patient(batching: false, compression)
        options.isChunkingEnabled = true
        options.encryption = PulsarEncryption(
            keyNames: ["k"], keyReader: PulsarCryptoKeyFiles(publicKeyPath: key.publicPath))
        let messages = [PulsarMessage("before"), PulsarMessage(payload), PulsarMessage("behind")]
        let ids = try await broker.send(messages, to: "chunks", options)
        #expect(ids[1].firstChunk?.entryID == 1)
        expect(try await broker.messages(of: "chunks", privateKey: key.privatePath), are: messages)
    }

    /// Nor does anybody else without the private key, the official client among them.
    @Test func theBrokerDoesNotSeeThePayload() async throws {
        let broker = try await PulsarLite(try Python())
        let key = try RSAKeyFiles(in: directory)
        let canary = PulsarMessage("CanaryThatSingsAtNight")
        var options = PulsarProducerOptions.patient(batching: false)
        options.encryption = PulsarEncryption(
            keyNames: ["k"], keyReader: PulsarCryptoKeyFiles(publicKeyPath: key.publicPath))
        _ = try await broker.send([canary], to: "secret", options)
        let sealed = try await broker.messages(of: "secret")
        #expect(sealed.map(\.payload.count) == [canary.size + 16])
        #expect(!String(decoding: sealed[0].payload, as: UTF8.self).contains("Canary"))
        expect(try await broker.messages(of: "secret", privateKey: key.privatePath), are: [canary])
    }
}
