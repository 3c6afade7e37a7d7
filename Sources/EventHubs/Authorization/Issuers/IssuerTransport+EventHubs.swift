internal import Transports

extension IssuerTransport {
    /// As `ask` without `who`.
    ///
    /// - Throws: `EventHubsError` when there was no answer, `CancellationError`.
    func ask(_ request: HTTPRequest, _ retries: IssuerRetries, who: String) async throws -> HTTPResponse {
        do {
            return try await ask(request, retries)
        } catch let error as HTTPError {
            let code: EventHubsError.Code =
                error.isPermanent ? .invalidArgument : error.kind == .timeout ? .timeout : .connectFailed
            throw EventHubsError(code, "no token from the \(who): \(error.message)")
        }
    }
}

extension IssuerRetries {
    /// Endpoints on the machine itself: as azure-identity 1.27 (`_credentials/imds.py`) has it.
    static let metadata = IssuerRetries(
        delays: [.zero, .milliseconds(1600), .milliseconds(3200), .milliseconds(6400), .milliseconds(12800)],
        renewalDelays: [.zero, .seconds(5), .seconds(10), .seconds(20), .seconds(40)], statuses: [404, 408, 410, 429])
}
