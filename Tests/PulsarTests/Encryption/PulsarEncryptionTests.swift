import Logging
import NIOCore
import NIOPosix
import OpenSSLTransport
import Synchronization
import TestSupport
import Testing

@testable import Pulsar

@Suite struct PulsarEncryptionTests {
    private let directory = TemporaryDirectory("pulsar-encryption")
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Keys of a test's own, which may change, fail or be silent.
    private final class Reader: PulsarCryptoKeyReader {
        struct Broken: Error {}
        enum Mood: Sendable { case good, broken, silent }

        let mood = Mutex(Mood.good)
        let calls = Atomic(0)
        private let pem: [UInt8]

        init(_ files: RSAKeyFiles) { pem = ChildProcess.bytes(files.publicPath) }

        func publicKey(named name: String) async throws -> PulsarPublicKey {
            calls.add(1, ordering: .relaxed)
            switch mood.withLock({ $0 }) {
            case .good: return PulsarPublicKey(pem: pem, metadata: [("version", "7")])
            case .broken: throw Broken()
            case .silent:
                try await Task.sleep(for: .seconds(3600))
                throw Broken()
            }
        }
    }

    private func encryption(_ options: PulsarEncryption, timeout: TimeAmount = .seconds(60)) async throws
        -> PayloadEncryption
    {
        try await PayloadEncryption(
            options, timeout: timeout, eventLoop: MultiThreadedEventLoopGroup.singleton.any(), logger: logger)
    }

    private func encoder(
        _ encryption: PayloadEncryption, _ compression: PulsarCompression = .none, maximumMessageSize: Int = 5_242_880
    ) throws -> SendEncoder {
        SendEncoder(
            producerID: 0,
            producer: OpenedProducer(name: "p", lastSequenceID: -1, maximumMessageSize: maximumMessageSize),
            compressor: try Compressor(compression), encryption: encryption)
    }

    private func frame(_ send: SealedSend) throws -> FramePayload {
        var buffer = send.head
        buffer.writeImmutableBuffer(send.payload)
        var decoder = FrameDecoder(maximumMessageSize: 1 << 24)
        let payload = try #require(try decoder.decode(buffer: &buffer)?.payload)
        #expect(payload.checksum == .valid)
        return payload
    }

    private func plain(_ payload: [UInt8], _ metadata: MessageMetadata) throws -> ByteBuffer {
        guard metadata.compression == .zlib else { return ByteBuffer(bytes: payload) }
        return try Compressor(.zlib).decompress(
            ByteBuffer(bytes: payload), size: Int(try #require(metadata.uncompressedSize)))
    }

    // MARK: What is sent

    @Test(arguments: [PulsarCompression.none, .zlib])
    func eachNamedKeyOpensAMessage(_ compression: PulsarCompression) async throws {
        let files = [try RSAKeyFiles(in: directory, "one"), try RSAKeyFiles(in: directory, "two", bits: 4096)]
        let options = PulsarEncryption(
            keyNames: ["one", "two"],
            keyReader: PulsarCryptoKeyFiles(
                publicKeyPaths: ["one": files[0].publicPath, "two": files[1].publicPath]))
        let encoder = try encoder(try await encryption(options), compression)
        let text = String(repeating: "secret ", count: 50)
        for message in [PulsarMessage(text), PulsarMessage("")] {
            let send = try encoder.seal(message, id: 4, deliverAt: nil, publishTime: 1, isChunked: false)[0]
            let frame = try frame(send)
            let metadata = try frame.metadata()
            #expect(metadata.encryptionKeys.map(\.key) == ["one", "two"])
            #expect(metadata.encryptionKeys.map(\.value.count) == [256, 512])
            #expect(metadata.encryptionAlgo == nil)
            for (name, pair) in zip(["one", "two"], files) {
                let payload = try Unsealing(pair).payload(frame, key: name)
                #expect(try plain(payload, metadata) == message.payload)
            }
            #expect(throws: Unsealing.Failure.self) { try Unsealing(files[0]).payload(frame, key: "two") }
        }
    }

    @Test func aBatchIsEncryptedAsAWholeBehindItsCompression() async throws {
        let files = try RSAKeyFiles(in: directory)
        let options = PulsarEncryption(keyNames: ["k"], keyReader: Reader(files))
        let encoder = try encoder(try await encryption(options), .zlib)
        var batch = BatchPayload()
        for id in 0..<20 { batch.append(PulsarMessage("message \(id)"), id: UInt64(id)) }
        let frame = try frame(try encoder.seal(batch))
        let metadata = try frame.metadata()
        #expect(metadata.numMessagesInBatch == 20)
        #expect(metadata.uncompressedSize == UInt32(batch.bytes.readableBytes))
        #expect(metadata.encryptionKeys[0].metadata.map(\.value) == ["7"])
        var reader = BatchReader(try plain(try Unsealing(files).payload(frame, key: "k"), metadata))
        var texts: [String] = []
        while let message = try reader.next() { texts.append(String(buffer: message.payload)) }
        #expect(texts == (0..<20).map { "message \($0)" })
    }

    @Test func eachChunkIsEncryptedByItselfAndFits() async throws {
        let files = try RSAKeyFiles(in: directory)
        let limit = 1000
        let options = PulsarEncryption(keyNames: ["k"], keyReader: Reader(files))
        let encoder = try encoder(try await encryption(options), maximumMessageSize: limit)
        let content = (0..<5000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let sends = try encoder.seal(
            PulsarMessage(content), id: 0, deliverAt: nil, publishTime: 1, isChunked: true)
        #expect(sends.count > 5)
        var joined: [UInt8] = []
        var vectors: Set<[UInt8]> = []
        for send in sends {
            let frame = try frame(send)
            let metadata = try frame.metadata()
            #expect(metadata.encodedLength + frame.payload.readableBytes <= limit)
            #expect(metadata.totalChunkMsgSize == 5000)
            vectors.insert(try #require(metadata.encryptionParam))
            joined += try Unsealing(files).payload(frame, key: "k")
        }
        #expect(joined == content)
        #expect(vectors.count == sends.count)
    }

    /// To the byte: what encryption adds counts.
    @Test func theLimitOfABrokerCountsWhatEncryptionAdds() async throws {
        let options = PulsarEncryption(keyNames: ["k"], keyReader: Reader(try RSAKeyFiles(in: directory)))
        let encryption = try await encryption(options)
        let probe = try encoder(encryption).seal(
            PulsarMessage([UInt8](repeating: 1, count: 500)), id: 0, deliverAt: nil, publishTime: 1, isChunked: false)
        let frame = try frame(probe[0])
        let size = try frame.metadata().encodedLength + frame.payload.readableBytes
        for (limit, fits) in [(size, true), (size - 1, false)] {
            let encoder = try encoder(encryption, maximumMessageSize: limit)
            let message = PulsarMessage([UInt8](repeating: 1, count: 500))
            let seal = { try encoder.seal(message, id: 0, deliverAt: nil, publishTime: 1, isChunked: false) }
            if fits {
                #expect(try seal().count == 1)
            } else {
                let error = #expect(throws: PulsarError.self) { _ = try seal() }
                #expect(error?.code == .messageTooBig)
            }
        }
        // What the batches of the largest size become fits too.
        let encoder = try encoder(encryption, maximumMessageSize: 8192)
        var batch = BatchPayload()
        batch.append(PulsarMessage([UInt8](repeating: 1, count: encoder.maximumBatchSize - 50)), id: 0)
        #expect(batch.bytes.readableBytes <= encoder.maximumBatchSize)
        _ = try encoder.seal(batch)
    }

    @Test func noVectorIsUsedTwice() async throws {
        let cipher = try #require(AES256GCM())
        let vectors = await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    var sealed = [UInt8](repeating: 0, count: 20)
                    return (0..<2000).compactMap { _ in
                        sealed.withUnsafeMutableBytes { output in
                            ([1, 2, 3, 4] as [UInt8]).withUnsafeBytes { cipher.seal($0, into: output) }
                        }
                    }
                }
            }
            return await group.reduce(into: [[UInt8]]()) { $0 += $1 }
        }
        #expect(vectors.count == 16_000)
        #expect(Set(vectors).count == 16_000)
        #expect(Set(vectors.map { $0.prefix(4) }).count == 1)
    }

    // MARK: Renewal

    @Test func theDataKeyIsRenewed() async throws {
        let files = try RSAKeyFiles(in: directory)
        var options = PulsarEncryption(keyNames: ["k"], keyReader: Reader(files))
        options.dataKeyLifetime = .milliseconds(20)
        let encoder = try encoder(try await encryption(options))
        var wrapped: Set<[UInt8]> = []
        var keys: Set<[UInt8]> = []
        while keys.count < 3 {
            let send = try encoder.seal(
                PulsarMessage("x"), id: 0, deliverAt: nil, publishTime: 1, isChunked: false)[0]
            let frame = try frame(send)
            #expect(try Unsealing(files).payload(frame, key: "k") == Array("x".utf8))
            let value = try #require(try frame.metadata().encryptionKeys.first?.value)
            if wrapped.insert(value).inserted { keys.insert(try Unsealing(files).unwrap(value)) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test func theOldDataKeyStaysWhereRenewalFails() async throws {
        let files = try RSAKeyFiles(in: directory)
        let reader = Reader(files)
        var options = PulsarEncryption(keyNames: ["k"], keyReader: reader)
        options.dataKeyLifetime = .milliseconds(5)
        let encryption = try await encryption(options)
        reader.mood.withLock { $0 = .broken }
        let calls = reader.calls.load(ordering: .relaxed)
        while reader.calls.load(ordering: .relaxed) < calls + 3 { try await Task.sleep(for: .milliseconds(2)) }
        let frame = try frame(
            try encoder(encryption).seal(PulsarMessage("x"), id: 0, deliverAt: nil, publishTime: 1, isChunked: false)[0]
        )
        #expect(try Unsealing(files).payload(frame, key: "k") == Array("x".utf8))
    }

    @Test func aProducerThatIsGoneRenewsNothing() async throws {
        let reader = Reader(try RSAKeyFiles(in: directory))
        var options = PulsarEncryption(keyNames: ["k"], keyReader: reader)
        options.dataKeyLifetime = .milliseconds(1)
        weak var gone: PayloadEncryption?
        do {
            let encryption = try await encryption(options)
            gone = encryption
            while reader.calls.load(ordering: .relaxed) < 3 { try await Task.sleep(for: .milliseconds(1)) }
            withExtendedLifetime(encryption) {}
        }
        while gone != nil { try await Task.sleep(for: .milliseconds(1)) }
    }

    // MARK: Keys that are of no use

    private func failure(_ options: PulsarEncryption, timeout: TimeAmount = .seconds(60)) async -> PulsarError? {
        await #expect(throws: PulsarError.self) { _ = try await encryption(options, timeout: timeout) }
    }

    @Test func aKeyOfNoUseIsToldWithItsRemedyAndNotShown() async throws {
        let good = try RSAKeyFiles(in: directory)
        let curve = try RSAKeyFiles(
            in: directory, "curve", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
        let short = try RSAKeyFiles(in: directory, "short", bits: 512)
        let garbage = try directory.write("CanaryThatSingsAtNight\n", to: "garbage")
        let damaged = try directory.write(
            "-----BEGIN PUBLIC KEY-----\nCanaryThatSingsAtNight\n-----END PUBLIC KEY-----\n", to: "damaged")
        let empty = try directory.write("", to: "empty")
        let large = try directory.write(String(repeating: "CanaryThatSingsAtNight", count: 4000), to: "large")
        let cases = [
            (good.privatePath, "give the public one"), (curve.publicPath, "it is a key for EC: only RSA is known"),
            (short.publicPath, "it has 512 bits: 592 are needed at least"), (garbage, "no public key in PEM form"),
            (damaged, "no public key in PEM form"), (empty, "no public key in PEM form"),
            (large, "it has more than 65536 bytes"), (directory("nothing"), "No such file"),
            (directory.path, "no regular file"),
        ]
        let secret = String(decoding: ChildProcess.bytes(good.privatePath).dropFirst(100).prefix(40), as: UTF8.self)
        for (path, words) in cases {
            let error = await failure(
                PulsarEncryption(keyNames: ["audit"], keyReader: PulsarCryptoKeyFiles(publicKeyPath: path)))
            #expect(error?.code == .encryptionFailed)
            #expect(error?.message.contains(words) == true, "\(path): \(error?.message ?? "")")
            #expect(error?.message.contains("\"audit\"") == true, "\(error?.message ?? "")")
            #expect(error?.message.contains("Canary") == false)
            #expect(error?.message.contains(secret) == false)
        }
        let unnamed = await failure(
            PulsarEncryption(
                keyNames: ["other"], keyReader: PulsarCryptoKeyFiles(publicKeyPaths: ["audit": good.publicPath])))
        #expect(unnamed?.message.contains("no file for the public key \"other\": only for audit") == true)
    }

    @Test func aReaderThatFailsOrIsSilentIsTold() async throws {
        let reader = Reader(try RSAKeyFiles(in: directory))
        reader.mood.withLock { $0 = .broken }
        let broken = await failure(PulsarEncryption(keyNames: ["k"], keyReader: reader))
        #expect(broken?.code == .encryptionFailed)
        #expect(broken?.message.contains("\"k\" could not be had: Broken()") == true)
        reader.mood.withLock { $0 = .silent }
        let silent = await failure(
            PulsarEncryption(keyNames: ["k"], keyReader: reader), timeout: .milliseconds(10))
        #expect(silent?.message.contains("gave nothing within") == true)
    }

    // MARK: The producer

    @Test func aProducerWithoutItsKeysIsNotMadeUnlessItMaySendReadably() async throws {
        let reader = Reader(try RSAKeyFiles(in: directory))
        let encrypted = Mutex<[Bool?]>([])
        try await WithBroker.run {
            $0.onRequest = { request in
                if case .producer(let command) = request.command { encrypted.withLock { $0.append(command.encrypted) } }
                return nil
            }
        } _: { world, client in
            var options = PulsarProducerOptions()
            options.encryption = PulsarEncryption(keyNames: ["k"], keyReader: reader)
            reader.mood.withLock { $0 = .broken }
            let without = options
            let error = await #expect(throws: PulsarError.self) {
                try await client.makeProducer(topic: "t", options: without).close()
            }
            #expect(error?.code == .encryptionFailed)
            #expect(encrypted.withLock { $0 } == [])

            options.encryption?.failureAction = .send
            let readable = try await client.makeProducer(topic: "t", options: options)
            try await readable.send(PulsarMessage("for all"))
            try await readable.close()
            #expect(try await world.texts() == ["for all"])

            reader.mood.withLock { $0 = .good }
            let secret = try await client.makeProducer(topic: "t", options: options)
            try await secret.send(PulsarMessage("for some"))
            try await secret.close()
            let stored = try await world.broker.messages(of: WithBroker.topic)
            #expect(stored.count == 2)
            #expect(stored.last?.payload.readableBytes == "for some".utf8.count + 16)
        }
        #expect(encrypted.withLock { $0 } == [true, true])
    }

    @Test func namesOfKeysThatMakeNoSenseAreRefused() throws {
        let reader = PulsarCryptoKeyFiles(publicKeyPath: "/nowhere")
        for names in [[], [""], ["a", "a"], (0..<33).map { "\($0)" }] {
            var options = PulsarProducerOptions()
            options.encryption = PulsarEncryption(keyNames: names, keyReader: reader)
            let error = #expect(throws: PulsarError.self) { try options.check() }
            #expect(error?.code == .invalidConfiguration)
        }
        var options = PulsarProducerOptions()
        options.encryption = PulsarEncryption(keyNames: ["a"], keyReader: reader)
        options.encryption?.dataKeyLifetime = .zero
        #expect(throws: PulsarError.self) { try options.check() }
        options.encryption?.dataKeyLifetime = .seconds(1)
        try options.check()
    }
}
