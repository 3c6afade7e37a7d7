import ArgumentParser
import Pulsar
import TailraceAgent

/// Which Pulsar topic, and the way to it.
struct TopicOptions: ParsableArguments {
    @Option(
        name: .customLong("service-url"),
        help: ArgumentHelp(
            "Sends to Pulsar: pulsar://HOST[:PORT] or pulsar+ssl://HOST[:PORT], more hosts behind commas.",
            valueName: "url"))
    var serviceURL: String?

    @Option(help: ArgumentHelp("The topic there: t, tenant/namespace/t, or the whole name.", valueName: "name"))
    var topic: String?

    @Option(help: ArgumentHelp("A file with the token that Pulsar wants.", valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("Instead of a token, a user.", valueName: "name"))
    var basicUser: String?

    @Option(help: ArgumentHelp("A file with the user's password.", valueName: "file"))
    var basicPasswordFile: String?

    @Option(help: ArgumentHelp("A client certificate for TLS, PEM.", valueName: "file"))
    var clientCertificate: String?

    @Option(help: ArgumentHelp("Its private key, PEM.", valueName: "file"))
    var clientKey: String?

    @Option(help: "What is done to batches for Pulsar.")
    var compression = Compression.none

    enum Compression: String, ExpressibleByArgument, CaseIterable { case none, zlib, lz4, zstd, snappy }

    @Option(help: ArgumentHelp("The name that Pulsar knows the producer by; the broker's choice.", valueName: "name"))
    var producerName: String?

    func validate() throws {
        guard serviceURL != nil else {
            let stray: [(String, Bool)] = [
                ("--topic", topic != nil), ("--token-file", tokenFile != nil), ("--basic-user", basicUser != nil),
                ("--basic-password-file", basicPasswordFile != nil),
                ("--client-certificate", clientCertificate != nil), ("--client-key", clientKey != nil),
                ("--compression", compression != .none), ("--producer-name", producerName != nil),
            ]
            for (option, isGiven) in stray where isGiven { throw ValidationError("\(option) needs --service-url") }
            return
        }
        if topic == nil { throw ValidationError("--topic is missing") }
        if tokenFile != nil, basicUser != nil {
            throw ValidationError("--token-file and --basic-user exclude each other")
        }
        if (basicUser == nil) != (basicPasswordFile == nil) {
            throw ValidationError("--basic-user and --basic-password-file go together")
        }
        if (clientCertificate == nil) != (clientKey == nil) {
            throw ValidationError("--client-certificate and --client-key go together")
        }
    }

    /// - Throws: what is wrong with a file, never what is in it.
    func identity() throws -> PulsarIdentity {
        if let tokenFile {
            _ = try SecretFile.read(tokenFile, what: "--token-file")
            return .tokenFile(tokenFile)
        }
        if let basicUser, let basicPasswordFile {
            return .basic(
                user: basicUser,
                password: Secret(try SecretFile.read(basicPasswordFile, what: "--basic-password-file")))
        }
        return clientCertificate == nil ? .nobody : .certificate
    }
}
