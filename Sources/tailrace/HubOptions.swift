import ArgumentParser
import EventHubs
import Glibc
import TailraceAgent

/// Which event hub, and the way to it.
struct HubOptions: ParsableArguments {
    @Option(
        name: .customLong("connection-string"),
        help: ArgumentHelp(
            "Of the namespace or the event hub; blanked in this process's title. Better in a file, or in "
                + "TAILRACE_CONNECTION_STRING.", valueName: "text"))
    var text: String?

    @Option(help: ArgumentHelp("A file with the connection string.", valueName: "file"))
    var connectionStringFile: String?

    @Option(help: ArgumentHelp("The event hub's name, unless the connection string tells it.", valueName: "name"))
    var hub: String?

    @Option(help: ArgumentHelp("Trusts the authorities in this PEM file instead of the system's.", valueName: "file"))
    var caFile: String?

    @Option(help: ArgumentHelp("amqp (port 5671) or websocket (port 443).", valueName: "kind"))
    var transport = Transport.amqp

    enum Transport: String, ExpressibleByArgument, CaseIterable { case amqp, websocket }

    @Option(
        help: ArgumentHelp(
            "Connects through this forward proxy. A password for it comes from --proxy-password-file or "
                + "TAILRACE_PROXY_PASSWORD.", valueName: "http://host:port"))
    var proxy: String?

    @Option(help: ArgumentHelp("The proxy's user.", valueName: "name"))
    var proxyUser: String?

    @Option(help: ArgumentHelp("A file with the proxy's password.", valueName: "file"))
    var proxyPasswordFile: String?

    func validate() throws {
        if text != nil, connectionStringFile != nil {
            throw ValidationError("--connection-string and --connection-string-file exclude each other")
        }
    }

    var isGiven: Bool { text != nil || connectionStringFile != nil || hub != nil || proxy != nil }

    func require() throws {
        if text == nil, connectionStringFile == nil, getenv(Self.variable) == nil {
            throw ValidationError("--connection-string-file is missing, and \(Self.variable) is not set")
        }
    }

    private static let passwordVariable = "TAILRACE_PROXY_PASSWORD"
    private static let variable = "TAILRACE_CONNECTION_STRING"

    /// - Throws: what is wrong with it, never what it is.
    func connectionString() throws -> Secret<EventHubsConnectionString> {
        let text: String
        if let given = self.text {
            text = given
        } else if let path = connectionStringFile {
            text = try SecretFile.read(path, what: "--connection-string-file")
        } else {
            text = getenv(Self.variable).map { String(cString: $0) } ?? ""
        }
        do {
            return Secret(try EventHubsConnectionString(text))
        } catch {
            throw ValidationError("the connection string cannot be used: \(error.message)")
        }
    }

    func options() throws -> EventHubsOptions {
        var options = EventHubsOptions()
        if let caFile { options.tls = EventHubsTLS(authorities: caFile) }
        if transport == .websocket { options.transport = .webSocket }
        options.proxy = try parsedProxy()
        return options
    }

    private func parsedProxy() throws -> EventHubsProxy? {
        guard let proxy else {
            if proxyUser != nil || proxyPasswordFile != nil {
                throw ValidationError("--proxy-user and --proxy-password-file need --proxy")
            }
            return nil
        }
        do {
            var parsed = try ProxyAddress.parse(proxy)
            let password =
                try proxyPasswordFile.map { try SecretFile.read($0, what: "--proxy-password-file") }
                ?? getenv(Self.passwordVariable).map { String(cString: $0) }
            if proxyUser != nil || password != nil {
                parsed.user = proxyUser ?? ""
                parsed.password = password
            }
            return parsed
        } catch let failure as ProxyAddress.Failure {
            throw ValidationError("--proxy \(failure.problem); \(failure.remedy)")
        }
    }
}
