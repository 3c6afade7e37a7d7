import Glibc

/// The Pulsar broker of the tests, with TLS on a free port: a topic in `directory`, of so many partitions.
public final class PulsarBroker: Service {
    public let child: Child
    public let output: String

    public init(program: String, directory: String, partitions: Int = 4) {
        for name in ["broker", "certificates"] { mkdir("\(directory)/\(name)", 0o700) }
        child = Child([
            program, "serve", "--store", "\(directory)/broker", "--tls", "\(directory)/certificates",
            "--partitions", "bench=\(partitions)",
        ])
        var (service, authority) = ("", "")
        while true {
            guard let line = child.readLine() else { fail("start the Pulsar broker", 0) }
            if line == "ready" { break }
            guard let word = line.split(separator: " ").last else { continue }
            if line.hasPrefix("broker") { service = String(word) }
            if line.hasPrefix("authority") { authority = String(word) }
        }
        output = """
            type = "pulsar"
            service_url = "\(service)"
            topic = "bench"
            ca_file = "\(authority)"
            """
    }
}
