/// What to do about the errors of Microsoft Entra ID that people meet
/// (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
enum IssuerRemedy {
    private static let byCode: [(code: String, remedy: String)] = [
        ("7000215", "the client secret is wrong: give the secret's value, not its ID, and that of this application"),
        ("7000222", "the client secret has expired: make a new one for the application, and give that"),
        ("7000112", "the application is disabled in its tenant: have it enabled"),
        ("7000229", "the application has no service principal in the tenant: have an administrator add it"),
        (
            "700016",
            "the tenant has no application with this client ID: check the client ID, and whether the tenant is right"
        ),
        ("700211", "no federated credential of the application has this token's issuer: compare both"),
        ("700212", "no federated credential of the application has this token's audience: compare both"),
        (
            "700213",
            "no federated credential of the application has this token's subject: compare both (service account and namespace)"
        ),
        ("70021", "no federated credential of the application fits this token: compare issuer, subject and audience"),
        (
            "700024",
            "the federated token is not valid at this time: see that its file is renewed, and that the clock is right"
        ),
        ("700223", "the tenant does not take federated tokens of this issuer"),
        ("90002", "there is no such tenant: check the tenant ID, and the authority host of the cloud that it is in"),
        ("900023", "the tenant ID is neither a GUID nor a domain name of a tenant"),
        ("90038", "the tenant is in another cloud: check the authority host"),
        ("900382", "the tenant is in another cloud: check the authority host"),
        ("500011", "the tenant does not know Event Hubs in this cloud: check the authority host"),
        ("53003", "a Conditional Access policy forbids it: have the policy changed for this application"),
        ("50034", "the tenant does not know this account: check the tenant ID"),
    ]

    /// Nil for a text that names no error known here.
    static func text(_ said: String) -> String? {
        for (code, remedy) in byCode where said.contains("AADSTS\(code):") { return remedy }
        if said.lowercased().contains("identity not found") {
            return "no such identity is assigned to this machine: assign it, or check the ID that was given"
        }
        return nil
    }
}
