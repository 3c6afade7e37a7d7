internal import EventHubs

extension ConfigurationLoader {
    /// How to get to the service: transport, proxy, another endpoint.
    mutating func readWay(_ reader: inout SettingsReader, into output: inout EventHubsOutputSettings) {
        if reader.choice("transport", of: ["amqp", "websocket"]) == "websocket" { output.transport = .webSocket }
        if let endpoint = reader.string("custom_endpoint"), !endpoint.isEmpty { output.customEndpoint = endpoint }
        let user = reader.string("proxy_user").flatMap { $0.isEmpty ? nil : $0 }
        let path = reader.string("proxy_password_file").flatMap { $0.isEmpty ? nil : $0 }
        let password = path.flatMap { readSecretFile($0, "proxy_password_file", "the password", &reader) }
        guard let text = reader.string("proxy"), !text.isEmpty else {
            for key in ["proxy_user", "proxy_password_file"] where reader.table[key] != nil {
                reader.report(key, "stands without a proxy", remedy: "write proxy = \"http://HOST:PORT\" too")
            }
            return
        }
        do throws(ProxyAddress.Failure) {
            var proxy = try ProxyAddress.parse(text)
            if user != nil || password != nil {
                proxy.user = user ?? ""
                proxy.password = password?.reveal()
            }
            output.proxy = proxy
        } catch {
            reader.report("proxy", error.problem, remedy: error.remedy)
        }
        if user?.contains(":") == true {
            reader.report("proxy_user", "has a colon in it", remedy: "Basic authentication knows no such user names")
        }
    }
}
