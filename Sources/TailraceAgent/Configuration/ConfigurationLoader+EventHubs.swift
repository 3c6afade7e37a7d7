internal import EventHubs

extension ConfigurationLoader {
    mutating func readEventHubs(_ reader: inout SettingsReader, name: String) -> EventHubsOutputSettings? {
        let identity = readIdentity(&reader)
        let hasIdentity = reader.table["namespace"] != nil || reader.table["auth"] != nil
        let connectionString = hasIdentity ? nil : readConnectionString(&reader).flatMap { parse($0, reader) }
        var output = EventHubsOutputSettings(name: name, connectionString: connectionString)
        output.identity = identity
        output.eventHub = connectionString?.reveal().eventHubName ?? ""
        if let hub = reader.string("eventhub"), !hub.isEmpty {
            if !output.eventHub.isEmpty, output.eventHub != hub {
                reader.report(
                    "eventhub", "differs from the connection string's EntityPath", remedy: "keep one of the two")
            }
            output.eventHub = hub
        } else if connectionString != nil || hasIdentity, output.eventHub.isEmpty {
            reader.report(
                "eventhub", hasIdentity ? "is missing" : "is missing, and the connection string has no EntityPath",
                remedy: "write eventhub = \"NAME\"")
        }
        output.caFile = readAuthorities(&reader)
        readWay(&reader, into: &output)
        let modes = EventHubsOutputSettings.Idempotent.allCases.map(\.rawValue)
        if let mode = reader.choice("idempotent", of: modes).flatMap(EventHubsOutputSettings.Idempotent.init) {
            output.idempotent = mode
        }
        if let key = readRoutingKey(&reader) { output.key = key }
        if let check = readPartitionCheck(&reader) { output.partitionCheck = check }
        reader.finish()
        checkEndpoint(output, reader)
        return output
    }

    /// Finds what only shows when TLS and tokens are set up, such as a CA file without certificates.
    private func checkEndpoint(_ output: EventHubsOutputSettings, _ reader: SettingsReader) {
        guard collector.isEmpty else { return }
        do throws(EventHubsError) {
            _ = try output.endpoint()
        } catch {
            // What the key says is told with its line; which of them it is, the message names.
            let key = ["custom_endpoint", "ca_file", "auth", "connection_string", "connection_string_file"].first {
                reader.table[$0] != nil
            }
            reader.report(
                key ?? "type", "cannot be used: \(error.message)", remedy: "correct it, or the file that it names")
        }
    }

    private mutating func readConnectionString(_ reader: inout SettingsReader) -> Secret<String>? {
        let text = reader.string("connection_string")
        let path = reader.string("connection_string_file")
        switch (reader.table["connection_string"], reader.table["connection_string_file"]) {
        case (_?, _?):
            reader.report(
                "connection_string_file", "stands beside connection_string", remedy: "keep one of the two")
            return nil
        case (_?, nil): return text.map { Secret($0) }
        case (nil, _?):
            return path.flatMap { readSecretFile($0, "connection_string_file", "the connection string", &reader) }
        case (nil, nil):
            reader.report(
                "connection_string_file", "is missing",
                remedy: "write connection_string_file = \"/etc/tailrace/hub.key\", a file with the connection string")
            return nil
        }
    }

    private func parse(
        _ text: Secret<String>, _ reader: SettingsReader
    ) -> Secret<EventHubsConnectionString>? {
        let key = reader.table["connection_string"] == nil ? "connection_string_file" : "connection_string"
        do throws(EventHubsError) {
            return Secret(try EventHubsConnectionString(text.reveal()))
        } catch {
            reader.report(
                key, "is wrong: \(error.message)",
                remedy: "copy it anew from a shared access policy of the namespace or the event hub")
            return nil
        }
    }
}
