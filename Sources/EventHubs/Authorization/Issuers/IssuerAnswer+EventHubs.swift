internal import Transports

extension IssuerAnswer {
    /// - Throws: `EventHubsError` with code `unauthorized` when only somebody's help will change the answer, else
    ///   `connectFailed`.
    func token() throws(EventHubsError) -> EventHubsToken {
        var answer = self
        answer.remedy = { IssuerRemedy.text($0) }
        do throws(IssuerRefusal) {
            let token = try answer.issuedToken()
            guard let expiry = token.expiry else { throw answer.strange("it does not say when the token ends") }
            return EventHubsToken(
                token.value, expiry: expiry, refreshAfter: token.refreshAfter, clockSkew: token.clockSkew)
        } catch {
            throw EventHubsError(error.mayPass ? .connectFailed : .unauthorized, error.message)
        }
    }
}
