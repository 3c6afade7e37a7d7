import Glibc
internal import NIOCore
internal import OpenSSLTransport
internal import Transports

/// The way to a service, step by step: the name, TCP, then the proxy, TLS and WebSocket together.
struct WayCheck {
    let subject: String
    let findings: Findings
    let eventLoop: any EventLoop

    /// A certificate that ends in less is worth a warning, in seconds.
    private static let soon: Int64 = 14 * 86_400

    /// Whether the service can be talked to. The steps after one that fails are left out.
    func run(_ route: Route) -> Bool {
        let (host, port) = (route.proxy?.host ?? route.host, route.proxy?.port ?? route.port)
        guard NameCheck.isAddress(host) || checkName(host) else { return false }
        var first = Route(host: host, port: port)
        first.connectTimeout = route.connectTimeout
        guard checkTCP(first) else { return false }
        guard route.tls != nil || route.proxy != nil || route.webSocket != nil else { return true }
        return checkTLS(route)
    }

    private func checkName(_ host: String) -> Bool {
        let subject = "\(subject), DNS"
        findings.begin("\(subject): \(host)")
        do {
            let addresses = try NetworkStep.wait(for: NameCheck.addresses(of: host, on: eventLoop))
            let more = addresses.count > 4 ? " and \(addresses.count - 4) more" : ""
            findings.ok(subject, host, addresses.prefix(4).joined(separator: ", ") + more)
            return true
        } catch let error as NameCheck.Failure {
            findings.error(subject, host, error.message, remedy: error.remedy)
        } catch {
            findings.error(
                subject, host, "\(error)", remedy: "check this machine's DNS: getent ahosts \(host) asks the same")
        }
        return false
    }

    private func checkTCP(_ route: Route) -> Bool {
        let subject = "\(subject), TCP"
        findings.begin("\(subject): \(route.place)")
        do {
            _ = try NetworkStep.wait(for: Dialer.probe(route, on: eventLoop))
            findings.ok(subject, route.place, "connected")
            return true
        } catch {
            let text = "\(error)"
            let prefix = "cannot connect to \(route.place): "
            findings.error(
                subject, route.place,
                "cannot connect: \(text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text)",
                remedy: "check host and port, that it runs, and the firewalls in between")
            return false
        }
    }

    private func checkTLS(_ route: Route) -> Bool {
        let name = route.tls != nil ? "TLS" : route.webSocket != nil ? "WebSocket" : "proxy"
        findings.begin("\(subject), \(name): \(route.place)")
        do {
            let session = try NetworkStep.wait(for: Dialer.probe(route, on: eventLoop))
            tell(session, "\(subject), \(name)", route.place)
            return true
        } catch let error as DialError {
            let step =
                switch error.step {
                case .connect: "TCP"
                case .proxy: "proxy"
                case .tls: "TLS"
                case .webSocket: "WebSocket"
                }
            if let remedy = Self.remedy(error.message) {
                findings.error("\(subject), \(step)", route.place, error.message, remedy: remedy)
            } else {
                findings.error("\(subject), \(step)", route.place, error.message)
            }
        } catch {
            findings.error("\(subject), \(name)", route.place, "\(error)", remedy: "check the network")
        }
        return false
    }

    private func tell(_ session: TLSSession?, _ subject: String, _ place: String) {
        guard let session else { return findings.ok(subject, place, "connected") }
        let who = "\(session.version), certificate of \(session.peerSubject ?? "nobody")"
        guard let validity = session.peerValidity else { return findings.ok(subject, place, who) }
        let end = Timestamp.text(milliseconds: validity.upperBound * 1000)
        let left = validity.upperBound - Timestamp.now() / 1000
        if left < Self.soon {
            findings.warning(
                subject, place, "\(who), which ends on \(end), in \(left / 86_400) days", remedy: "have it renewed")
        } else {
            findings.ok(subject, place, "\(who), valid until \(end)")
        }
    }

    /// By the number that OpenSSL gives the result of verification (x509_vfy.h), which our messages end with.
    private static func remedy(_ message: String) -> String? {
        guard let mark = message.ranges(of: "(verify error ").last,
            let number = Int(message[mark.upperBound...].prefix { $0.isNumber })
        else { return nil }
        let now = Timestamp.text(milliseconds: Timestamp.now())
        switch number {
        // CERT_NOT_YET_VALID, CERT_HAS_EXPIRED
        case 9, 10: return "have the certificate renewed, or set this machine's clock, which says \(now)"
        // UNABLE_TO_GET_ISSUER_CERT, DEPTH_ZERO_SELF_SIGNED_CERT, SELF_SIGNED_CERT_IN_CHAIN,
        // UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE
        case 2, 18, 19, 20, 21:
            return
                "set ca_file to the PEM file of the authority that issued the certificate, or install ca-certificates"
        // HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH
        case 62, 64: return "connect by a name that the certificate bears, or have that name put into it"
        default: return "have the service's certificate looked at"
        }
    }
}
