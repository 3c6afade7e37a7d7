internal import OpenSSLTransport

/// The open sockets of an input, and what connections to them need.
package struct SyslogListeners: Sendable {
    package let sockets: [ListeningSocket]
    let tls: TLSContext?

    /// Opens everything that the configuration names: what can be wrong with it shows here.
    package static func open(
        _ configuration: SyslogConfiguration, passed: PassedSockets = .ofThisProcess
    ) throws(SyslogError) -> SyslogListeners {
        var tls: TLSContext?
        if let certificate = configuration.certificateFile, let key = configuration.keyFile {
            do throws(TLSError) {
                tls = try TLSContext.server(
                    identity: TLSIdentityFiles(certificateChain: certificate, privateKey: key),
                    clientTrust: configuration.clientAuthorities.map { .file($0) })
            } catch {
                throw SyslogError("\(error)")
            }
        } else if let address = configuration.listen.first(where: \.isTLS) {
            throw SyslogError("\(address): there is no certificate; set certificate_file and key_file")
        }
        var sockets: [ListeningSocket] = []
        for address in configuration.listen {
            sockets += try ListeningSocket.open(address, receiveBuffer: configuration.receiveBuffer, passed: passed)
        }
        return SyslogListeners(sockets: sockets, tls: tls)
    }

    /// Where they listen.
    package var places: [String] { sockets.map(\.place) }
}
