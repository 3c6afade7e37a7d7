internal import TailraceInputs

extension ConfigurationLoader {
    /// `[input.NAME]` of type "journal".
    func readJournal(_ reader: inout SettingsReader, name: String) -> JournalConfiguration {
        var input = JournalConfiguration(name: name)
        input.units = texts("units", &reader, remedy: "write units in full, such as \"ssh.service\", no patterns") {
            JournalSyntax.isUnit($0)
        }
        input.identifiers = texts("identifiers", &reader, remedy: "write syslog identifiers, such as \"sudo\"") {
            JournalSyntax.isText($0)
        }
        input.matches = texts("matches", &reader, remedy: "write FIELD=VALUE, such as \"_TRANSPORT=kernel\"") {
            JournalSyntax.isMatch($0)
        }
        if let priority = reader.string("priority"), !priority.isEmpty {
            if JournalSyntax.isPriority(priority) {
                input.priority = priority
            } else {
                reader.report(
                    "priority", "is \"\(SettingsReader.shortened(priority))\"",
                    remedy: "write emerg, alert, crit, err, warning, notice, info or debug, or FROM..TO")
            }
        }
        if let namespace = reader.string("namespace"), !namespace.isEmpty {
            if JournalSyntax.isNamespace(namespace) {
                input.namespace = namespace
            } else {
                reader.report(
                    "namespace", "is \"\(SettingsReader.shortened(namespace))\"",
                    remedy: "write one namespace, as LogNamespace= of a unit does; make an input for each")
            }
        }
        if let directory = reader.string("directory"), !directory.isEmpty {
            if !Self.isAbsolute(directory) {
                reader.report("directory", "is not an absolute path", remedy: "write it from \"/\" on, without NUL")
            } else if !input.namespace.isEmpty {
                reader.report("directory", "stands beside namespace", remedy: "keep one of the two")
            } else {
                input.directory = directory
            }
        }
        let starts = JournalConfiguration.Start.allCases.map(\.rawValue)
        if let start = reader.choice("since", of: starts).flatMap(JournalConfiguration.Start.init) {
            input.start = start
        }
        let fields = JournalConfiguration.Fields.allCases.map(\.rawValue)
        if let kind = reader.choice("entry_fields", of: fields).flatMap(JournalConfiguration.Fields.init) {
            input.fields = kind
        }
        if let size = reader.size("maximum_line", in: FileInputSettings.maximumLines) {
            input.maximumLine = Int(size)
        }
        reader.finish()
        return input
    }

    private func texts(
        _ key: String, _ reader: inout SettingsReader, remedy: String, where isRight: (String) -> Bool
    ) -> [String] {
        let texts = reader.strings(key) ?? []
        if let wrong = texts.first(where: { !isRight($0) }) {
            reader.report(key, "holds \"\(SettingsReader.shortened(wrong))\"", remedy: remedy)
        }
        return texts
    }
}
