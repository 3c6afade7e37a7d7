import Measuring

/// What reads the files and encrypts and sends their bytes, and nothing else.
struct TLSSender {
    private let program: String
    private let certificate: String
    private let key: String

    init(directory: String) {
        program = contestant("tls_sender", ["-lssl", "-lcrypto"], in: directory, remedy: "gcc libssl-dev")
        (certificate, key) = ("\(directory)/sender.pem", "\(directory)/sender.key")
        let maker = Child([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch",
            "-subj", "/CN=sender", "-days", "2", "-keyout", key, "-out", certificate,
        ])
        if maker.wait() != 0 { fail("make a certificate", 0) }
    }

    func run(_ logs: Logs) -> Figures {
        let child = Child([program, certificate, key] + logs.paths)
        let values = (child.readLine() ?? "").split(separator: " ").compactMap {
            $0.split(separator: "=").last.flatMap { Double($0) }
        }
        guard child.wait() == 0, values.count == 2 else { fail("send over TLS", 0) }
        return Figures(logs, seconds: values[0], processor: values[1])
    }
}
