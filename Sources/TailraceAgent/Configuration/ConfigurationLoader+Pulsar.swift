internal import Pulsar

extension ConfigurationLoader {
    /// - Parameter host: of `[agent]`: part of the producer's usual name.
    mutating func readPulsar(
        _ reader: inout SettingsReader, name: String, host: String
    ) -> PulsarOutputSettings? {
        let url = readServiceURL(&reader)
        let topic = readTopic(&reader)
        var output = PulsarOutputSettings(
            name: name, serviceURL: url?.description ?? "", topic: topic?.description ?? "", host: host)
        output.caFile = readAuthorities(&reader)
        output.clientCertificate = readClientCertificate(&reader)
        output.identity = readPulsarIdentity(&reader, hasCertificate: output.clientCertificate != nil)
        if let url, !url.usesTLS {
            for (key, isSet) in [
                ("ca_file", output.caFile != nil), ("client_certificate", output.clientCertificate != nil),
            ]
            where isSet {
                reader.report(
                    key, "has no use without TLS", remedy: "write service_url = \"pulsar+ssl://…\", or remove it")
            }
        }
        if let listener = reader.string("listener_name"), !listener.isEmpty { output.listenerName = listener }
        if let compression = reader.choice("compression", of: PulsarCompression.allCases.map(\.rawValue))
            .flatMap({ PulsarCompression(rawValue: $0) })
        {
            output.compression = compression
            do throws(PulsarError) {
                _ = try Compressor(compression)
            } catch {
                reader.report(
                    "compression", "cannot be used: \(error.message)", remedy: "install it, or choose another")
            }
        }
        if let size = reader.size("batch_size", in: PulsarOutputSettings.batchSizes) { output.batchSize = Int(size) }
        if let records = reader.integer("batch_records", in: PulsarOutputSettings.batchRecords) {
            output.batchRecords = Int(records)
        }
        if let key = readRoutingKey(&reader) { output.key = key }
        if let check = readPartitionCheck(&reader) { output.partitionCheck = check }
        if let producer = reader.string("producer_name"), !producer.isEmpty {
            if producer.utf8.count <= 255, producer.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) {
                output.producerName = producer
            } else {
                reader.report("producer_name", "is no name", remedy: "write 1 to 255 bytes without spaces")
            }
        }
        reader.finish()
        return output
    }

    private func readServiceURL(_ reader: inout SettingsReader) -> ServiceURL? {
        guard let text = reader.string("service_url") else {
            if reader.table["service_url"] == nil {
                reader.report("service_url", "is missing", remedy: "write service_url = \"pulsar+ssl://HOST:6651\"")
            }
            return nil
        }
        do throws(PulsarError) {
            return try ServiceURL(text)
        } catch {
            reader.report("service_url", "is wrong: \(error.message)", remedy: "correct it")
            return nil
        }
    }

    private func readTopic(_ reader: inout SettingsReader) -> TopicName? {
        guard let text = reader.string("topic") else {
            if reader.table["topic"] == nil {
                reader.report(
                    "topic", "is missing", remedy: "write topic = \"persistent://public/default/logs\"")
            }
            return nil
        }
        do throws(PulsarError) {
            return try TopicName(text)
        } catch {
            reader.report("topic", "is wrong: \(error.message)", remedy: "correct it")
            return nil
        }
    }

    private func readClientCertificate(_ reader: inout SettingsReader) -> PulsarTLS.ClientCertificate? {
        let chain = reader.string("client_certificate").flatMap { $0.isEmpty ? nil : $0 }
        let key = reader.string("client_key").flatMap { $0.isEmpty ? nil : $0 }
        if let chain { checkFile(chain, "client_certificate", reader) }
        if let key { checkFile(key, "client_key", reader) }
        switch (chain, key) {
        case (let chain?, let key?): return .init(chainFile: chain, privateKeyFile: key)
        case (_?, nil):
            reader.report("client_key", "is missing", remedy: "name the PEM file with the certificate's private key")
        case (nil, _?):
            reader.report("client_certificate", "is missing", remedy: "name the PEM file that client_key belongs to")
        case (nil, nil): break
        }
        return nil
    }

    /// One way to prove who the agent is, or none.
    private mutating func readPulsarIdentity(
        _ reader: inout SettingsReader, hasCertificate: Bool
    ) -> PulsarIdentity {
        let token = text("token_file", &reader)
        let basic = readBasic(&reader)
        let oauth2 = readOAuth2(&reader)
        let given = ["token_file", "basic_user", "oauth2_issuer_url"].filter { reader.table[$0] != nil }
        if given.count > 1 { reader.report(given[1], "stands beside \(given[0])", remedy: "keep one of them") }
        if let token {
            _ = readSecretFile(token, "token_file", "the token", &reader)
            return SecretVariable.name(token).map { .tokenVariable($0) } ?? .tokenFile(token)
        }
        return basic ?? oauth2 ?? (hasCertificate ? .certificate : .nobody)
    }

    private func text(_ key: String, _ reader: inout SettingsReader) -> String? {
        reader.string(key).flatMap { $0.isEmpty ? nil : $0 }
    }

    private mutating func readBasic(_ reader: inout SettingsReader) -> PulsarIdentity? {
        let user = text("basic_user", &reader)
        let path = text("basic_password_file", &reader)
        guard user != nil || path != nil else { return nil }
        guard let user else {
            reader.report("basic_user", "is missing", remedy: "name the user that basic_password_file belongs to")
            return nil
        }
        if user.contains(":") { reader.report("basic_user", "has a colon in it", remedy: "brokers know no such users") }
        guard let path else {
            reader.report("basic_password_file", "is missing", remedy: "name a file with the user's password")
            return nil
        }
        return readSecretFile(path, "basic_password_file", "the password", &reader).map {
            .basic(user: user, password: $0)
        }
    }

    private mutating func readOAuth2(_ reader: inout SettingsReader) -> PulsarIdentity? {
        let issuer = text("oauth2_issuer_url", &reader)
        let keyFile = text("oauth2_key_file", &reader)
        let clientID = text("oauth2_client_id", &reader)
        let secretFile = text("oauth2_client_secret_file", &reader)
        let (audience, scope) = (text("oauth2_audience", &reader), text("oauth2_scope", &reader))
        guard let issuer else {
            for (key, value) in [
                ("oauth2_key_file", keyFile), ("oauth2_client_id", clientID), ("oauth2_client_secret_file", secretFile),
                ("oauth2_audience", audience), ("oauth2_scope", scope),
            ] where value != nil {
                reader.report(key, "stands without oauth2_issuer_url", remedy: "write it too, or remove this")
            }
            return nil
        }
        let proof: PulsarIdentity.OAuth2.Proof
        switch (keyFile, clientID, secretFile) {
        case (let keyFile?, nil, nil):
            guard readSecretFile(keyFile, "oauth2_key_file", "the key of JSON", &reader) != nil else { return nil }
            proof = .keyFile(keyFile)
        case (nil, let clientID?, let secretFile?):
            guard let secret = readSecretFile(secretFile, "oauth2_client_secret_file", "the secret", &reader) else {
                return nil
            }
            proof = .secret(clientID: clientID, secret)
        default:
            reader.report(
                "oauth2_issuer_url", "needs to know who asks",
                remedy: "write oauth2_key_file, or oauth2_client_id and oauth2_client_secret_file")
            return nil
        }
        var identity = PulsarIdentity.OAuth2(issuerURL: issuer, proof: proof)
        identity.audience = audience
        identity.scope = scope
        do throws(PulsarError) {
            _ = try PulsarIdentity.oauth2(identity).authentication()
        } catch {
            reader.report("oauth2_issuer_url", "cannot be used: \(error.message)", remedy: "correct it")
        }
        return .oauth2(identity)
    }
}
