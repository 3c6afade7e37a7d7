import Glibc

/// `tailrace hub` with TLS on a free port.
public final class Hub: Service {
    public let child: Child
    /// With the hub's name.
    public let connectionString: String
    /// A PEM file.
    public let authority: String

    public init(binary: String, directory: String, partitions: Int = 4) {
        for name in ["hub", "certificates"] { mkdir("\(directory)/\(name)", 0o700) }
        child = Child([
            binary, "hub", "--listen", "127.0.0.1:0", "--hub", "bench", "--partitions", "\(partitions)", "--store",
            "\(directory)/hub", "--retention", "64MiB", "--certificate-directory", "\(directory)/certificates",
        ])
        var connectionString = ""
        var authority = ""
        while connectionString.isEmpty || authority.isEmpty {
            guard let line = child.readLine() else { fail("read the hub's connection string", 0) }
            for word in line.split(separator: " ") {
                if word.hasPrefix("Endpoint=") { connectionString = String(word) }
                if word.hasSuffix(".pem") { authority = String(word) }
            }
        }
        self.connectionString = connectionString
        self.authority = authority
    }

    /// `sb://HOST:PORT`.
    public var endpoint: String {
        field("Endpoint").hasSuffix("/") ? String(field("Endpoint").dropLast()) : field("Endpoint")
    }
    public var port: Int { Int(endpoint.split(separator: ":").last ?? "") ?? 0 }
    public var keyName: String { field("SharedAccessKeyName") }
    public var key: String { field("SharedAccessKey") }

    private func field(_ name: String) -> String {
        for part in connectionString.split(separator: ";") where part.hasPrefix("\(name)=") {
            return String(part.dropFirst(name.count + 1))
        }
        return ""
    }

    /// Events that its partitions have ever stored, as the hub tells; `load` is the program that asks.
    public func stored(by load: String) -> Int {
        let child = Child([load, "count", "--connection-string", connectionString, "--ca", authority])
        let text = child.readAll()
        guard child.wait() == 0, let count = Int(text.split(separator: "\n").first ?? "") else {
            fail("ask the hub how many events it has stored", 0)
        }
        return count
    }

    public var output: String {
        """
        type = "eventhubs"
        connection_string = "\(connectionString)"
        ca_file = "\(authority)"
        """
    }
}

/// The number that follows `"key":` for the first time; nil when there is none.
public func number(_ key: String, in json: String) -> Int? {
    let pattern = "\"\(key)\""
    var rest = Substring(json)
    while !rest.isEmpty, !rest.hasPrefix(pattern) { rest = rest.dropFirst() }
    return Int(rest.dropFirst(pattern.count).drop { !$0.isNumber }.prefix { $0.isNumber })
}
