import Glibc
import LocalHub
import Logging
import Synchronization
import TestSupport
import Transports

@testable import EventHubs

/// `Python/issuers.py`, running: the issuers of tokens that no test can reach. Its https bears a local hub's certificate.
final class IssuerDouble: Sendable {
    static let client = "11111111-1111-1111-1111-111111111111"
    static let secret = "c4nary s3cret+/&=%"
    static let header = "c4nary-identity-header"

    let http: Int
    let https: Int
    let arcFolder: String
    private let directory = TemporaryDirectory("issuers")
    private let child: ChildProcess

    /// - Parameter certificates: with `server.pem` and `server.key`.
    init(_ python: Python, certificates: String) async throws {
        arcFolder = directory("tokens")
        mkdir(arcFolder, 0o700)
        child = try ChildProcess(
            python.interpreter,
            [
                "\(python.scripts)/issuers.py", "--certificate", "\(certificates)/server.pem", "--key",
                "\(certificates)/server.key", "--arc-folder", arcFolder, "--log", directory("log"),
            ], environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        // A line with both ports, when both listen; nothing is said by one that cannot start.
        while !child.output.hasSuffix("\n") {
            guard child.isRunning else { throw Python.Missing(description: "issuers.py: \(child.errorOutput)") }
            try await Task.sleep(for: .milliseconds(10))
        }
        let ports = try JSONValue(Array(child.output.utf8))
        http = Int(ports["http"]?.integer ?? 0)
        https = Int(ports["https"]?.integer ?? 0)
    }

    /// Statuses that a run was answered with, in their order. MSAL's question about the tenant does not count.
    func statuses(_ run: String) -> [Int] {
        ChildProcess.text(directory("log")).split(separator: "\n").compactMap { line in
            guard let json = try? JSONValue(Array(line.utf8)), let path = json["path"]?.text,
                path.hasPrefix("/\(run)/"), !path.contains("well-known")
            else { return nil }
            return json["status"]?.integer.map { Int($0) }
        }
    }

    /// As a hub that believes this issuer would judge.
    static func verdict(_ token: String) -> HubTokenVerdict {
        guard token.hasSuffix(".c4nary-signature"), let expiry = JWT(token)?.expiry else {
            return .refused("InvalidSignature: not from our issuer")
        }
        return .accepted(expiry: expiry)
    }

    func end() { child.signal(SIGKILL) }

    // MARK: Credentials of a run

    var authority: String { "localhost:\(https)" }

    func environment(_ kind: String, _ run: String) -> [String: String] {
        let base = "http://127.0.0.1:\(http)/\(run)"
        switch kind {
        case "metadata": return ["AZURE_POD_IDENTITY_AUTHORITY_HOST": base]
        case "app-service": return ["IDENTITY_ENDPOINT": "\(base)/msi/token", "IDENTITY_HEADER": Self.header]
        case "arc": return ["IDENTITY_ENDPOINT": "\(base)/arc/token", "IMDS_ENDPOINT": base]
        default: return [:]
        }
    }

    func managed(
        _ kind: String, _ run: String, _ identity: EventHubsCredential.ManagedIdentity = .systemAssigned
    ) throws -> EventHubsCredential {
        var retries = IssuerRetries.metadata
        retries.delays = retries.delays.map { _ in .milliseconds(1) }
        return .provider(
            try EventHubsCredential.managedTokens(
                identity, CredentialEnvironment(environment(kind, run)), IssuerTransport(), retries: retries,
                tokenFolder: arcFolder))
    }

    /// A file with a federated token.
    func tokenFile(_ text: String) throws -> String {
        let path = directory("federated")
        // As Kubernetes does: nobody sees half of it.
        let file = fopen(path + ".new", "w")
        fputs(text, file)
        fclose(file)
        rename(path + ".new", path)
        return path
    }
}
