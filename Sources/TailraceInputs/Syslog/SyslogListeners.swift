internal import OpenSSLTransport

/// The open sockets of an input, and what connections to them need.
package struct SyslogListeners: Sendable {
    package let sockets: [ListeningSocket]
    let tls: TLSContext?

    /// Opens everything that the configuration names: what can be wrong with it shows here.
    ///
    /// - Parameter heirloom: sockets of inputs that are about to end: what they listen on is gone on with, so that nothing
    ///   is lost in between. Nothing happens to them here.
    package static func open(
        _ configuration: SyslogConfiguration, heirloom: [ListeningSocket] = [], passed: PassedSockets = .ofThisProcess
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
            let inherited = heirloom.filter { $0.address.isSamePlace(as: address) }
            if inherited.isEmpty {
                sockets += try ListeningSocket.open(address, receiveBuffer: configuration.receiveBuffer, passed: passed)
            } else {
                sockets += try inherited.map { socket throws(SyslogError) in
                    try socket.serving(address, address.isTLS ? .tls : socket.kind == .tls ? .stream : socket.kind)
                }
            }
        }
        return SyslogListeners(sockets: sockets, tls: tls)
    }

    /// Where they listen.
    package var places: [String] { sockets.map(\.place) }
}
