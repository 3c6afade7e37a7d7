internal import EventHubs

extension ConfigurationLoader {
    /// `namespace`, `auth` and what belongs to them; nil when there are none, or when something is wrong.
    mutating func readIdentity(_ reader: inout SettingsReader) -> EntraIdentity? {
        let namespace = reader.string("namespace")
        let auth = reader.choice("auth", of: EntraIdentity.Kind.allCases.map(\.rawValue))
        let parts = ["client_id", "tenant_id", "client_secret_file", "token_file"]
        let values = parts.map { key in reader.string(key).flatMap { $0.isEmpty ? nil : $0 } }
        guard reader.table["namespace"] != nil || reader.table["auth"] != nil else {
            for key in parts where reader.table[key] != nil {
                reader.report(key, "stands without auth", remedy: "write auth and namespace too, or remove it")
            }
            return nil
        }
        for key in ["connection_string", "connection_string_file"] where reader.table[key] != nil {
            _ = reader.string(key)
            reader.report(key, "stands beside namespace and auth", remedy: "keep one of the two ways to get in")
        }
        if reader.table["namespace"] == nil || namespace == "" {
            reader.report(
                "namespace", "is missing", remedy: "write namespace = \"NAME.servicebus.windows.net\"")
        }
        if reader.table["auth"] == nil {
            reader.report("auth", "is missing", remedy: "write auth = \"managed_identity\"")
        }
        guard let namespace, !namespace.isEmpty, let kind = auth.flatMap(EntraIdentity.Kind.init) else { return nil }
        var identity = EntraIdentity(namespace: namespace, kind: kind)
        identity.clientID = values[0]
        identity.tenantID = values[1]
        identity.clientSecret = values[2].flatMap {
            readSecretFile($0, "client_secret_file", "the secret", &reader)
        }
        identity.tokenFile = values[3]
        if let file = identity.tokenFile, SecretVariable.name(file) != nil {
            reader.report(
                "token_file", "names a variable of the environment, and such tokens are renewed in a file",
                remedy: "write the file's path")
        }
        let (needed, allowed): ([String], [String]) =
            switch kind {
            case .managedIdentity: ([], ["client_id"])
            case .clientSecret: (["tenant_id", "client_id", "client_secret_file"], [])
            case .workloadIdentity: ([], ["tenant_id", "client_id", "token_file"])
            }
        for (key, value) in zip(parts, values) {
            if value == nil, needed.contains(key) {
                reader.report(key, "is missing", remedy: "auth = \"\(kind.rawValue)\" needs it")
            }
            if reader.table[key] != nil, !needed.contains(key), !allowed.contains(key) {
                reader.report(key, "does not belong to auth = \"\(kind.rawValue)\"", remedy: "remove it")
            }
        }
        return identity
    }
}
