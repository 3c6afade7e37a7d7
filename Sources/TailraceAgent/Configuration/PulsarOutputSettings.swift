package import Pulsar
package import TailraceDelivery

/// `[output.NAME]` of type "pulsar".
package struct PulsarOutputSettings: Equatable, Sendable {
    /// Bytes of a batch before it is compressed.
    package static let batchSizes: ClosedRange<UInt64> = 1024...(64 << 20)
    package static let batchRecords: ClosedRange<Int64> = 1...1_000_000

    package var name: String
    package var serviceURL: String
    /// In its full form.
    package var topic: String
    package var identity = PulsarIdentity.nobody
    /// PEM file of the authorities to trust; nil is the system's store.
    package var caFile: String?
    package var clientCertificate: PulsarTLS.ClientCertificate?
    /// Which of the addresses that brokers advertise; nil: their default.
    package var listenerName: String?
    package var compression = PulsarCompression.none
    /// At most; the broker's limit counts too.
    package var batchSize = 1 << 20
    package var batchRecords = 50_000
    package var key = RoutingKey.host
    package var partitionCheck = OutputSettings.defaultPartitionCheck
    /// What brokers know this output by: by this name they tell what they have, so that it must stay, and no other
    /// producer of the topic may have it.
    package var producerName: String

    package init(name: String, serviceURL: String, topic: String, host: String) {
        self.name = name
        self.serviceURL = serviceURL
        self.topic = topic
        producerName = "tailrace-\(host)-\(name)"
    }

    /// How the client connects.
    package var connecting: PulsarClientOptions {
        var options = PulsarClientOptions()
        if let caFile { options.tls = PulsarTLS(authorities: caFile) }
        options.tls.clientCertificate = clientCertificate
        options.listenerName = listenerName
        return options
    }
}

/// Who a client of a Pulsar cluster is.
package enum PulsarIdentity: Equatable, Sendable {
    case nobody
    /// Read again for every connection.
    case tokenFile(String)
    /// The name of a variable of the environment.
    case tokenVariable(String)
    case basic(user: String, password: Secret<String>)
    /// The client certificate of TLS speaks for it.
    case certificate
    case oauth2(OAuth2)

    /// An application that an issuer of OAuth 2.0 gives tokens to.
    package struct OAuth2: Equatable, Sendable {
        /// How the application proves who it is.
        package enum Proof: Equatable, Sendable {
            /// A file of JSON with `client_id` and `client_secret`, read again for every token.
            case keyFile(String)
            case secret(clientID: String, Secret<String>)
        }

        package var issuerURL: String
        package var proof: Proof
        package var audience: String?
        package var scope: String?

        package init(issuerURL: String, proof: Proof) {
            self.issuerURL = issuerURL
            self.proof = proof
        }
    }

    package func authentication() throws(PulsarError) -> PulsarAuthentication {
        switch self {
        case .nobody: return .none
        case .tokenFile(let path): return .tokenFile(path)
        case .tokenVariable(let name): return .tokenEnvironment(name)
        case .basic(let user, let password): return .basic(user: user, password: password.reveal())
        case .certificate: return .tls
        case .oauth2(let identity):
            var settings =
                switch identity.proof {
                case .keyFile(let path): PulsarOAuth2(issuerURL: identity.issuerURL, privateKey: path)
                case .secret(let clientID, let secret):
                    PulsarOAuth2(
                        issuerURL: identity.issuerURL, clientID: clientID, clientSecret: secret.reveal())
                }
            if let audience = identity.audience { settings.audience = audience }
            settings.scope = identity.scope
            return try .oauth2(settings)
        }
    }
}
