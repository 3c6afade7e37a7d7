import Glibc
internal import NIOCore
import NIOPosix
internal import TailraceInputs

/// Whether the places to listen at are free, or taken by our own agent. Each is listened at for a moment.
struct PortCheck {
    private let agent: RunningAgent?
    private let findings: Findings

    init(_ agent: RunningAgent?, _ findings: Findings) {
        self.agent = agent
        self.findings = findings
    }

    func run(_ name: String, _ input: SyslogInputSettings) {
        let subject = "input \(name)"
        for address in input.listen {
            if case .systemd(let socket) = address, PassedSockets.ofThisProcess.isEmpty {
                checkPassed(socket, subject, "\(address)")
                continue
            }
            var configuration = input.configuration(name: name)
            configuration.listen = [address]
            do throws(SyslogError) {
                for socket in try SyslogListeners.open(configuration).sockets {
                    if socket.kind == .datagrams, socket.receiveBuffer < input.receiveBuffer {
                        findings.warning(
                            subject, "\(address)",
                            "free, with a receive buffer of \(socket.receiveBuffer) bytes for this user, not"
                                + " \(input.receiveBuffer)",
                            remedy: "raise the sysctl net.core.rmem_max")
                    } else {
                        findings.ok(subject, "\(address)", "free")
                    }
                }
            } catch {
                if error.isTaken, let agent, isHeld(address, by: agent) {
                    findings.ok(subject, "\(address)", "taken by the agent that runs, process \(agent.process)")
                } else {
                    let text = error.description
                    let prefix = "\(address): "
                    findings.error(
                        subject, "\(address)", text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text)
                }
            }
        }
    }

    private func checkPassed(_ name: String, _ subject: String, _ place: String) {
        if agent != nil {
            findings.ok(subject, place, "passed to the service, which runs")
        } else {
            findings.warning(
                subject, place, "systemd passes it to the service alone, so that it cannot be looked at from here",
                remedy: "systemctl status tailrace-syslog.socket tells whether systemd listens")
        }
    }

    func run(metrics address: ListenAddress, _ group: any EventLoopGroup) {
        let subject = "metrics"
        do {
            let channel = try NetworkStep.wait(
                for: ServerBootstrap(group: group).bind(host: address.host, port: address.port))
            try? channel.close().wait()
            findings.ok(subject, "\(address)", "free")
        } catch {
            let code = (error as? IOError)?.errnoCode ?? 0
            if code == EADDRINUSE, let agent, SocketTable.tcp(port: address.port).isHeld(by: agent) {
                return findings.ok(subject, "\(address)", "taken by the agent that runs, process \(agent.process)")
            }
            findings.error(
                subject, "\(address)", code == 0 ? "cannot listen: \(error)" : SystemError.describe(code),
                remedy: code == EADDRINUSE
                    ? "stop what listens there (ss -lnp shows it), or change [agent] metrics" : "change [agent] metrics"
            )
        }
    }

    private func isHeld(_ address: SyslogAddress, by agent: RunningAgent) -> Bool {
        switch address {
        case .udp(_, let port): return SocketTable.udp(port: port).isHeld(by: agent)
        case .tcp(_, let port), .tls(_, let port): return SocketTable.tcp(port: port).isHeld(by: agent)
        case .unix(let path): return SocketTable.unix(path: path).isHeld(by: agent)
        case .systemd: return false
        }
    }
}
