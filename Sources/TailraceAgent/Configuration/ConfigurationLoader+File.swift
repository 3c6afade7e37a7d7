internal import TailraceInputs

extension ConfigurationLoader {
    /// `[input.NAME]` of type "file".
    func readFile(_ reader: inout SettingsReader) -> FileInputSettings {
        var input = FileInputSettings(include: [])
        if let include = reader.strings("include") {
            checkPatterns(include, "include", absolute: true, reader)
            input.include = include
            if include.isEmpty { reader.report("include", "is empty", remedy: "name at least one file or pattern") }
        } else if reader.table["include"] == nil {
            reader.report("include", "is missing", remedy: "write include = [\"/var/log/app/*.log\"]")
        }
        if let exclude = reader.strings("exclude") {
            checkPatterns(exclude, "exclude", absolute: false, reader)
            input.exclude = exclude
        }
        if let size = reader.size("maximum_line", in: FileInputSettings.maximumLines) {
            input.maximumLine = Int(size)
        }
        let starts = FileInputSettings.Start.allCases.map(\.rawValue)
        if let start = reader.choice("start", of: starts).flatMap(FileInputSettings.Start.init) { input.start = start }
        if let age = reader.duration("ignore_older", in: .seconds(1)...(.seconds(366 * 86_400))) {
            input.ignoreOlder = age
        }
        let ends = FileInputSettings.LineEnd.allCases.map(\.rawValue)
        if let end = reader.choice("line_end", of: ends).flatMap(FileInputSettings.LineEnd.init) { input.lineEnd = end }
        if let free = reader.size("deleted_minimum_free", in: 0...(1 << 50)) { input.deletedMinimumFree = free }
        let encodings = TextEncoding.allCases.map(\.rawValue)
        input.encoding = reader.choice("encoding", of: encodings).flatMap { TextEncoding(rawValue: $0) }
        let formats = ContainerFormat.allCases.map(\.rawValue)
        input.format = reader.choice("format", of: formats).flatMap { ContainerFormat(rawValue: $0) }
        input.multiline = readMultiline(&reader)
        reader.finish()
        return input
    }

    private func checkPatterns(_ patterns: [String], _ key: String, absolute: Bool, _ reader: SettingsReader) {
        for pattern in patterns {
            if pattern.isEmpty || pattern.utf8.contains(0) || pattern.utf8.count >= 4096 {
                reader.report(key, "holds an empty, overlong or NUL pattern", remedy: "write a path or a pattern")
            } else if absolute, !pattern.hasPrefix("/") {
                reader.report(
                    key, "holds \"\(SettingsReader.shortened(pattern))\", which is not absolute",
                    remedy: "write the path from \"/\" on")
            } else if absolute, GlobPattern(pattern) == nil {
                reader.report(
                    key, "holds \"\(SettingsReader.shortened(pattern))\", which names no file",
                    remedy: "write a file's path, or a pattern of files such as \"/var/log/app/*.log\"")
            }
        }
    }
}
