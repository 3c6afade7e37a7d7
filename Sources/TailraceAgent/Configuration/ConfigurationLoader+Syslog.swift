internal import TailraceInputs

extension ConfigurationLoader {
    private static let forms =
        "write udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT with HOST an address, unix:///PATH or systemd:NAME"

    /// `[input.NAME]` of type "syslog".
    func readSyslog(_ reader: inout SettingsReader) -> SyslogInputSettings {
        var input = SyslogInputSettings(listen: [])
        if let listen = reader.strings("listen") {
            if listen.isEmpty { reader.report("listen", "is empty", remedy: Self.forms) }
            for text in listen {
                if let address = SyslogAddress(text) {
                    input.listen.append(address)
                } else {
                    reader.report(
                        "listen", "holds \"\(SettingsReader.shortened(text))\", which is no place to listen",
                        remedy: Self.forms)
                }
            }
        } else if reader.table["listen"] == nil {
            reader.report("listen", "is missing", remedy: "write listen = [\"udp://127.0.0.1:5514\"]")
        }
        if let zone = reader.string("zone") {
            if LocalZone(zone) == nil {
                reader.report(
                    "zone", "is \"\(SettingsReader.shortened(zone))\", which is no zone of this system",
                    remedy: "write \"local\", \"UTC\", \"+02:00\", or a name such as \"Europe/Berlin\" (package tzdata)"
                )
            } else {
                input.zone = zone
            }
        }
        for text in reader.strings("trust") ?? [] {
            if AddressRange(text) == nil {
                reader.report(
                    "trust", "holds \"\(SettingsReader.shortened(text))\", which is no range of addresses",
                    remedy: "write \"10.0.0.0/8\", \"2001:db8::/32\", or one address")
            } else {
                input.trust.append(text)
            }
        }
        readLimits(&reader, &input)
        readIdentity(&reader, &input)
        reader.finish()
        return input
    }

    private func readLimits(_ reader: inout SettingsReader, _ input: inout SyslogInputSettings) {
        if let size = reader.size("maximum_message", in: SyslogConfiguration.maximumMessages) {
            input.maximumMessage = Int(size)
        }
        if let size = reader.size("buffer", in: SyslogConfiguration.buffers) { input.buffer = Int(size) }
        if let size = reader.size("receive_buffer", in: SyslogConfiguration.receiveBuffers) {
            input.receiveBuffer = Int(size)
        }
        if let limit = reader.integer("maximum_connections", in: SyslogConfiguration.connectionLimits) {
            input.maximumConnections = Int(limit)
        }
        if let text = reader.string("idle_timeout") {
            if text == "never" {
                input.idleTimeout = nil
            } else if let time = Quantity.duration(text), time >= .seconds(1) {
                input.idleTimeout = time
            } else {
                reader.report(
                    "idle_timeout", "is \"\(SettingsReader.shortened(text))\"",
                    remedy: "write \"10m\" or another time of a second at least, or \"never\"")
            }
        }
    }

    private func readIdentity(_ reader: inout SettingsReader, _ input: inout SyslogInputSettings) {
        for (key, path) in [
            ("certificate_file", \SyslogInputSettings.certificateFile), ("key_file", \SyslogInputSettings.keyFile),
            ("client_ca_file", \SyslogInputSettings.clientAuthorities),
        ] {
            guard let file = reader.string(key), !file.isEmpty else { continue }
            checkFile(file, key, reader)
            input[keyPath: path] = file
        }
        let isNeeded = input.listen.contains(where: \.isTLS)
        for (key, file) in [("certificate_file", input.certificateFile), ("key_file", input.keyFile)]
        where isNeeded && file == nil && reader.table[key] == nil {
            reader.report(key, "is missing", remedy: "tls:// needs certificate_file and key_file, both PEM")
        }
    }
}
